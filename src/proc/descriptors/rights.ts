/** Files that a process has open and that may not be opened so any more: they are opened again at the thaw. */
import { O } from '../../fcntl.js';
import { Access, effectiveAccess, fileAttributes, StatxAttribute } from '../../native/syscalls.js';
import { errnoOf, unlessRefused } from '../read.js';
import { type Entry, linkOf } from './entries.js';
import type { KindContext } from './kind.js';

/** What opening needs by the access mode. */
const NEEDED: Readonly<Record<number, number>> = {
  [O.RDONLY]: Access.READ,
  [O.WRONLY]: Access.WRITE,
  [O.RDWR]: Access.READ | Access.WRITE,
};

/** Why nobody may open a file again, root neither; `null` if its attributes (chattr(1)) do not say so. */
export function attributeProblem(pid: number, entry: Entry): string | null {
  const { flags } = entry.info;
  if (flags & O.PATH || (flags & O.ACCMODE) === O.RDONLY) return null;
  const attributes = unlessRefused(() => fileAttributes(linkOf(pid, entry)), 0n);
  if (attributes & StatxAttribute.IMMUTABLE)
    return 'it is open for writing, and nobody may open it so since it is immutable (chattr -i lets it pass)';
  if (attributes & StatxAttribute.APPEND && !(flags & O.APPEND))
    return 'it is open for writing anywhere, and nobody may open it so since it is only to be appended to (chattr -a lets it pass)';
  return null;
}

/**
 * Warns where we may not open a file again ourselves: an image is mostly run by the user who has made it. It is asked, and
 * not opened, as others would see that (a lease is broken, fanotify tells).
 * @param choices options that let it pass
 */
export function warnOfRights(entry: Entry, choices: readonly string[], { pid, warnings }: KindContext): void {
  const { fd, link, info } = entry;
  const needed = NEEDED[info.flags & O.ACCMODE];
  if (info.flags & O.PATH || needed === undefined) return;
  try {
    effectiveAccess(linkOf(pid, entry), needed);
  } catch (error) {
    const code = errnoOf(error);
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') return;
    warnings.push(
      `descriptor ${fd} (${link}): this user may not open it again (${code}): the image is for one who may, or use ${[...choices, `--fd ${fd}=PATH`].join(', ')}`,
    );
  }
}
