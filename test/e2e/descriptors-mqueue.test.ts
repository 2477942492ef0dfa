import { addon } from '../../src/native/addon.js';
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

const NR_MQ_UNLINK = 241;

testWith([], 'message queues are found again, with what waits in them', (t) =>
  roundTrip(t, {
    command: target('mqueues'),
    generations: 2,
    prepare: async ({ pid }) => {
      // The images, too, want them.
      t.teardown(() => {
        for (const which of [0, 1]) addon.syscall(NR_MQ_UNLINK, Buffer.from(`proc2elf-${pid}-${which}\0`));
      });
    },
  }),
);
