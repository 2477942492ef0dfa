import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'descriptors on their way in sockets come back', (t) =>
  roundTrip(t, { command: target('rights') }),
);

testWith([], 'descriptors on their way in sockets come back without privileges', (t) =>
  roundTrip(t, {
    command: target('rights'),
    goesOn: false,
    ...(process.getuid?.() === 0 ? { uid: 65534 } : {}),
    stderr: /^(.*: running as \d+\n)?$/,
  }),
);
