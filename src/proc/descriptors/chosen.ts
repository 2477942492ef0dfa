/** Descriptors for which the user gave a path: `--fd N=PATH`. */
import type { DescriptorKind } from './kind.js';
import { isRegular } from './regular.js';

/** Descriptors for which the user names a path (`--fd N=PATH`), whatever they were. */
export const chosen: DescriptorKind = {
  matches: ({ fd }, { choices }) => choices.replace.has(fd),
  describe: ({ link }) => link,
  problem: () => null,
  capture: ({ entries: [entry] }, { target }) => ({
    kind: 'file',
    type: 'chosen',
    flags: entry!.info.flags,
    path: target.choices.replace.get(entry!.fd)!,
    // What was at an offset goes on at that offset; a stream of bytes had none.
    offset: isRegular(entry!.stat) ? entry!.info.offset : 0n,
    size: isRegular(entry!.stat) ? entry!.stat.size : 0n,
    device: null,
  }),
};
