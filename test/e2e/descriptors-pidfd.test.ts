import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'descriptors that name the process and its threads come back', (t) =>
  roundTrip(t, { command: target('pidfds'), goesOn: false }),
);

testWith([], 'those of processes and threads that have ended come back', (t) =>
  roundTrip(t, { command: target('ended') }),
);

testWith([], 'and come back without privileges, again and again', (t) =>
  roundTrip(t, {
    command: target('ended'),
    goesOn: false,
    generations: 3,
    ...(process.getuid?.() === 0 ? { uid: 65534, stderr: /^(.*: running as \d+\n)?$/ } : {}),
  }),
);

testWith([], 'they name them under new ids, too', (t) =>
  roundTrip(t, { command: target('pidfds'), thaw: ['--pid=new'] }),
);
