/** eventfd2(2). */

import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, flagNames } from '../calls.js';
import type { Op } from '../program.js';
import { write } from './calls.js';
import type { KindPlanner } from './planner.js';

const EFD_SEMAPHORE = 1;
const NAMES = { EFD_SEMAPHORE, EFD_NONBLOCK: O.NONBLOCK, EFD_CLOEXEC: O.CLOEXEC };
/** The initial value is an unsigned int. */
const MOST = 0xffff_ffffn;

/** Plans an eventfd with its count. */
export const eventfd: KindPlanner<OpenFileOf<'eventfd'>> = {
  make: ({ count, semaphore, flags }, place, { bench }) => {
    const label = `cannot make an eventfd (${place.name})`;
    const initial = count > MOST ? 0 : Number(count);
    const ops: Op[] = bench.create(
      (closeOnExec) => {
        const bits = (semaphore ? EFD_SEMAPHORE : 0) | (flags & O.NONBLOCK) | (closeOnExec ? O.CLOEXEC : 0);
        return call('eventfd2', [initial, bits], {
          label,
          text: `eventfd2(${initial}, ${flagNames(bits, NAMES, '0')})`,
        });
      },
      place.at,
      place.closeOnExec,
    );
    if (count > MOST) {
      const value = Buffer.alloc(8);
      value.writeBigUInt64LE(count);
      ops.push(write(bench.arena, place.at, value, { label, text: `write(${place.at}, [${count}], 8)` }));
    }
    return ops;
  },
};
