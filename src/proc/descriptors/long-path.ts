/** What has a path that the kernel does not tell: it can neither be named nor opened again. */
import { LONG_PATH } from '../read.js';
import type { Entry } from './entries.js';
import type { DescriptorKind } from './kind.js';
import { Refusal } from './refusal.js';
import { fileTypeName, isRegular } from './regular.js';
import type { Target } from './target.js';

const WHY = 'the kernel does not tell the path by which it could be opened again';

/** Whatever it is, but for files of which the content is carried. */
export const longPath: DescriptorKind = {
  matches: (entry, target) => entry.link === LONG_PATH && !isCarried(entry, target),
  describe: ({ link, stat }) => `${fileTypeName(stat)}, ${link}`,
  problem: () => WHY,
  choices: ({ stat }) => (isRegular(stat) ? ['--files embed'] : []),
  capture: () => {
    throw new Refusal(WHY);
  },
};

function isCarried({ link, stat }: Entry, { files }: Target): boolean {
  return isRegular(stat) && (stat.nlink === 0n || files.of(link, stat).kind === 'embed');
}

/** Whether a link of `/proc/PID/fd` is that of a file of a file system, rather than of a pipe, a socket or the like. */
export function hasPath(link: string): boolean {
  return link.startsWith('/') || link === LONG_PATH;
}
