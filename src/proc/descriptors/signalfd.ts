/** signalfd(2): the signals that can be read from a descriptor. What is pending belongs to process and threads. */
import { infoField } from './fdinfo.js';
import type { DescriptorKind } from './kind.js';

/** Descriptors made by signalfd(2). */
export const signalfd: DescriptorKind = {
  matches: ({ link }) => link === 'anon_inode:[signalfd]',
  describe: ({ link }) => `signalfd, ${link}`,
  problem: () => null,
  capture: ({ entries: [entry] }) => ({
    kind: 'signalfd',
    flags: entry!.info.flags,
    mask: BigInt(`0x${infoField(entry!.info.text, 'sigmask') ?? '0'}`),
  }),
};
