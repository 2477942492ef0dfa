/** Regular files whose content travels in the image, as the user wishes. */
import { O } from '../../fcntl.js';
import { isOfKernel } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { leaseProblem } from './locks.js';
import { hasPath } from './long-path.js';
import { captureObject } from './memory.js';
import { isRegular } from './regular.js';

/** 0, 1 and 2. */
export const STREAMS = 3;

/** Files for which `embed` was chosen. What the kernel makes up, as under /proc, is left to others unless named. */
export const embedded: DescriptorKind = {
  matches: (entry, { pid, files }) => {
    const { link, stat } = entry;
    if (!isRegular(stat) || stat.nlink === 0n || !hasPath(link)) return false;
    if (files.of(link, stat).kind !== 'embed') return false;
    return files.chosen(link, stat) !== null || !isOfKernel(pid, entry);
  },
  describe: ({ link }) => `file, ${link}`,
  problem: (entry, { pid }) =>
    isOfKernel(pid, entry)
      ? 'its content is made up by the kernel, and cannot be embedded'
      : leaseProblem(entry),
  capture: ({ entries, sharedWithStream }, context) => {
    const { fd, link, info } = entries[0]!;
    if ((fd < STREAMS || sharedWithStream) && (info.flags & O.ACCMODE) !== O.RDONLY) {
      context.warnings.push(outputEmbedded(fd, link));
    }
    const object = captureObject(entries[0]!, 'embedded-file', context);
    return { kind: 'object', flags: info.flags, object, offset: info.offset };
  },
};

/** Warns of output that goes into an embedded file. */
export function outputEmbedded(fd: number, path: string): string {
  return `descriptor ${fd} (file, ${path}) is embedded: what the image prints there ends with it; --fd ${fd}=inherit prints to whoever starts it`;
}
