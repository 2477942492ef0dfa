/** Descriptors that whoever starts the image passes in: `--external N`, `--fd N=inherit`. */
import type { DescriptorKind } from './kind.js';

/** Whatever they were: 0, 1 and 2 among them are streams. */
export const external: DescriptorKind = {
  matches: ({ fd }, { choices }) => fd > 2 && choices.inherit.has(fd),
  describe: ({ link }) => link,
  problem: () => null,
  capture: ({ entries: [entry] }) => ({ kind: 'external', flags: entry!.info.flags, was: entry!.link }),
};
