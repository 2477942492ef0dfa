/** signalfd4(2). */
import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, flagNames } from '../calls.js';
import type { KindPlanner } from './planner.js';

const NAMES = { SFD_NONBLOCK: O.NONBLOCK, SFD_CLOEXEC: O.CLOEXEC };
/** Bytes of the kernel's set of signals. */
const MASK_SIZE = 8;

/** Plans a signalfd with its mask. */
export const signalfd: KindPlanner<OpenFileOf<'signalfd'>> = {
  make: ({ flags, mask }, place, { bench }) => {
    const bytes = Buffer.alloc(MASK_SIZE);
    bytes.writeBigUInt64LE(mask);
    return bench.create(
      (closeOnExec) => {
        const bits = (flags & O.NONBLOCK) | (closeOnExec ? O.CLOEXEC : 0);
        return call('signalfd4', [-1, bench.arena.bytes(bytes), MASK_SIZE, bits], {
          label: `cannot make a signalfd (${place.name})`,
          text: `signalfd4(-1, [0x${mask.toString(16)}], ${MASK_SIZE}, ${flagNames(bits, NAMES, '0')})`,
        });
      },
      place.at,
      place.closeOnExec,
    );
  },
};
