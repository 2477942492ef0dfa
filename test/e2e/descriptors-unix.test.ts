import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'Unix domain sockets come back', (t) =>
  roundTrip(t, { command: target('unixsockets'), goesOn: false }),
);

testWith([], 'Unix domain sockets come back without privileges', (t) =>
  roundTrip(t, {
    command: target('unixsockets'),
    goesOn: false,
    ...(process.getuid?.() === 0 ? { uid: 65534 } : {}),
    stderr: /^(.*: running as \d+\n)?$/,
  }),
);

testWith([], 'a Unix domain socket to another process is found closed', (t) =>
  roundTrip(t, {
    command: target('unixsockets'),
    args: ['outside'],
    freeze: ['--unix-peer', 'close'],
    goesOn: false,
  }),
);
