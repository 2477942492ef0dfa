/** Memory of memfd_secret(2): it looks like a regular file, and there is nothing in it that could be embedded. */
import { deviceNumbers } from '../objects.js';
import { fileSystemOf, SECRETMEM_MAGIC } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { Refusal } from './refusal.js';
import { isRegular } from './regular.js';

const WHY = 'nobody but the process itself can read it';

/** Secret memory, which is refused. */
export const secret: DescriptorKind = {
  matches: (entry, { pid }) =>
    isRegular(entry.stat) &&
    deviceNumbers(entry.stat.dev).major === 0 &&
    fileSystemOf(pid, entry) === SECRETMEM_MAGIC,
  describe: ({ link }) => `secret memory, ${link}`,
  problem: () => WHY,
  capture: () => {
    throw new Refusal(WHY);
  },
};
