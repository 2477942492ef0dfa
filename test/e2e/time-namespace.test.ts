/** A process whose clocks are ahead of the machine's, as those of one that was thawed after a reboot. */
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

const AHEAD = ['unshare', '--time', '--monotonic', '100000', '--boottime', '100000'];

for (const name of ['vdso', 'timers', 'timerfds', 'blocked']) {
  testWith(['unshare'], `the clocks of a time namespace go on: ${name}`, async (t) => {
    if (process.getuid?.() !== 0) {
      leaveOut(t, 'time namespaces are made by root here');
      return;
    }
    await roundTrip(t, { command: target(name), before: AHEAD });
  });
}
