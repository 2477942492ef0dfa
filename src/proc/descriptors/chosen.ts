/** Descriptors for which the user gave a path: `--fd N=PATH`, `--file PATH=NEWPATH`. */
import type { Entry } from './entries.js';
import type { DescriptorKind } from './kind.js';
import { isRegular } from './regular.js';
import type { Target } from './target.js';

/** Descriptors for which the user names a path, whatever they were; or whose file is to be found at another. */
export const chosen: DescriptorKind = {
  matches: (entry, target) => chosenPath(entry, target) !== null,
  describe: ({ link }) => link,
  problem: () => null,
  capture: ({ entries: [entry] }, { target }) => ({
    kind: 'file',
    type: 'chosen',
    flags: entry!.info.flags,
    path: chosenPath(entry!, target)!,
    // What was at an offset goes on at that offset; a stream of bytes had none.
    offset: isRegular(entry!.stat) ? entry!.info.offset : 0n,
    size: isRegular(entry!.stat) ? entry!.stat.size : 0n,
    modified: null,
    device: null,
  }),
};

function chosenPath({ fd, link, stat }: Entry, { choices, files }: Target): string | null {
  const path = choices.replace.get(fd);
  if (path !== undefined) return path;
  if (!isRegular(stat) || stat.nlink === 0n || choices.inherit.has(fd)) return null;
  const choice = files.of(link, stat);
  return choice.kind === 'open' ? choice.path : null;
}
