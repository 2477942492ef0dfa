/** Regular files whose content travels in the image, as the user wishes. */
import { isOfKernel } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { leaseProblem } from './locks.js';
import { captureObject } from './memory.js';
import { isRegular } from './regular.js';

/** Files for which `embed` was chosen. What the kernel makes up, as under /proc, is left to others unless named. */
export const embedded: DescriptorKind = {
  matches: (entry, { pid, files }) => {
    const { link, stat } = entry;
    if (!isRegular(stat) || stat.nlink === 0n || !link.startsWith('/')) return false;
    if (files.of(link, stat).kind !== 'embed') return false;
    return files.chosen(link, stat) !== null || !isOfKernel(pid, entry);
  },
  describe: ({ link }) => `file, ${link}`,
  problem: (entry, { pid }) =>
    isOfKernel(pid, entry)
      ? 'its content is made up by the kernel, and cannot be embedded'
      : leaseProblem(entry),
  capture: ({ entries: [entry] }, context) => ({
    kind: 'object',
    flags: entry!.info.flags,
    object: captureObject(entry!, 'embedded-file', context),
    offset: entry!.info.offset,
  }),
};
