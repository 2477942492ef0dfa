/** References by O_PATH to what has no path, such as those made by opening `/proc/self/fd/N` of a socket so. */
import { O } from '../../fcntl.js';
import type { Entry } from './entries.js';
import type { DescriptorKind } from './kind.js';
import { namespace } from './namespace.js';
import { Refusal } from './refusal.js';

/** Whether a descriptor only refers to a pipe, a socket or another file without a name, and cannot do anything with it. */
export function isReference({ link, info }: Pick<Entry, 'link' | 'info'>): boolean {
  return (info.flags & O.PATH) !== 0 && !link.startsWith('/');
}

const WHY = 'opened by O_PATH, it refers to something without a path, and does not tell to which';

/** Refused before any other kind takes them for what they refer to. */
export const reference: DescriptorKind = {
  matches: (entry, target) => isReference(entry) && !namespace.matches(entry, target),
  describe: ({ link }) => `reference, ${link}`,
  problem: () => WHY,
  capture: () => {
    throw new Refusal(WHY);
  },
};
