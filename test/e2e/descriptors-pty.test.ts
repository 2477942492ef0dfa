import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], "the process's own pseudoterminals come back", (t) =>
  roundTrip(t, { command: target('ptys'), generations: 2 }),
);

testWith([], 'pseudoterminals come back without privileges', (t) =>
  roundTrip(t, {
    command: target('ptys'),
    args: ['plain'],
    ...(process.getuid?.() === 0 ? { uid: 65534 } : {}),
    stderr: /^(.*: running as \d+\n)?$/,
  }),
);
