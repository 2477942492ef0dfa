import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'files of /proc and /sys come back', (t) => roundTrip(t, { command: target('proc-files') }));

testWith([], 'files of the process itself are those of its new id', (t) =>
  roundTrip(t, { command: target('proc-files'), thaw: ['--pid=new'], stderr: /^([^\n]+\n)?$/ }),
);
