/** eventfd(2): a counter. */

import { infoField } from './fdinfo.js';
import type { DescriptorKind } from './kind.js';

/** Counters made by eventfd(2). */
export const eventfd: DescriptorKind = {
  matches: ({ link }) => link === 'anon_inode:[eventfd]',
  describe: () => 'eventfd',
  problem: () => null,
  capture: ({ entries: [entry] }, { warnings }) => {
    const { fd, info } = entry!;
    const semaphore = infoField(info.text, 'eventfd-semaphore');
    if (semaphore === null) {
      warnings.push(
        `descriptor ${fd} is an eventfd: this kernel (before 6.5) does not tell whether it is a semaphore; it is taken as none`,
      );
    }
    return {
      kind: 'eventfd',
      flags: info.flags,
      count: BigInt(`0x${infoField(info.text, 'eventfd-count') ?? '0'}`),
      semaphore: semaphore === '1',
    };
  },
};
