import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'IPv4 and IPv6 sockets come back, connections closed', (t) =>
  roundTrip(t, { command: target('inet'), goesOn: false }),
);

testWith([], 'sockets need no privilege', (t) =>
  roundTrip(t, {
    command: target('inet'),
    goesOn: false,
    stderr: /^([^\n]+\n)?$/, // new ids are announced in one line
    ...(process.getuid?.() === 0 ? { uid: 65534 } : {}),
  }),
);
