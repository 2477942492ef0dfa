import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'descriptors on their way in sockets come back', (t) =>
  // The process that runs on has the number of its terminal, and the lease.
  roundTrip(t, { command: target('rights'), thaw: ['--pts=new'], generations: 2 }),
);

testWith([], 'descriptors on their way in sockets come back without privileges', (t) =>
  roundTrip(t, {
    command: target('rights'),
    goesOn: false,
    thaw: ['--pts=new'],
    ...(process.getuid?.() === 0 ? { uid: 65534 } : {}),
    stderr: /^(.*: running as \d+\n)?$/,
  }),
);
