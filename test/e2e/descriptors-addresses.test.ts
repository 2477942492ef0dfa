import { testAsRoot, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { nobody, roundTrip } from './harness/round-trip.js';

testAsRoot('sockets come by their addresses again as they had', (t) =>
  roundTrip(t, { command: target('addresses'), goesOn: false }),
);

testWith(['setpriv'], 'sockets that share an address by what is off by now need no privilege', (t) =>
  roundTrip(t, {
    command: target('addresses'),
    args: ['untold'],
    goesOn: false,
    stderr: /^([^\n]+\n)?$/, // new ids are announced in one line
    ...(process.getuid?.() === 0 ? { uid: nobody } : {}),
  }),
);
