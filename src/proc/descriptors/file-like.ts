/** What looks like a regular file, and is none: there is nothing in it that could be embedded or opened again. */
import { deviceNumbers } from '../objects.js';
import type { Entry } from './entries.js';
import { fileSystemOf, MQUEUE_MAGIC, SECRETMEM_MAGIC } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { Refusal } from './refusal.js';
import { isRegular } from './regular.js';

/** Why it is refused, by file system. */
const WHY: ReadonlyMap<number, string> = new Map([
  [MQUEUE_MAGIC, 'its messages cannot be seen without being taken'],
  [SECRETMEM_MAGIC, 'nobody but the process itself can read it'],
]);

/** POSIX message queues, memory of memfd_secret(2). */
export const fileLike: DescriptorKind = {
  matches: (entry, { pid }) => whyOf(pid, entry) !== undefined,
  describe: ({ link }) => `${link.startsWith('/secretmem') ? 'secret memory' : 'message queue'}, ${link}`,
  problem: (entry, { pid }) => whyOf(pid, entry) ?? null,
  capture: ({ entries: [entry] }, { pid }) => {
    throw new Refusal(whyOf(pid, entry!) ?? 'it was closed meanwhile');
  },
};

/** Both lie on devices that the kernel has made up. */
function whyOf(pid: number, entry: Entry): string | undefined {
  if (!isRegular(entry.stat) || deviceNumbers(entry.stat.dev).major !== 0) return undefined;
  return WHY.get(fileSystemOf(pid, entry));
}
