/** Files that live in memory or have lost their name: memfd_create(2) and deleted files. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { O } from '../../fcntl.js';
import { flistxattr } from '../../native/syscalls.js';
import { PAGE_SIZE } from '../../page.js';
import type { MemoryObject } from '../../snapshot/schema.js';
import { contentOf, sealsOf } from '../content.js';
import { pageSizeOf, sizeProblem } from '../huge-pages.js';
import { inodeKey } from '../inode.js';
import { deviceName } from '../objects.js';
import { errnoOf } from '../read.js';
import { type Entry, linkOf } from './entries.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { leaseProblem } from './locks.js';
import { hasPath } from './long-path.js';
import { isDeletedBelow } from './lower-layer.js';
import { Refusal } from './refusal.js';
import { isRegular } from './regular.js';

const MEMFD = '/memfd:';
const DELETED = ' (deleted)';

/** Regular files that no path leads to: their content goes into the image. */
export const memory: DescriptorKind = {
  // A path that merely ends in " (deleted)" has a link that counts.
  matches: (entry, target) =>
    isRegular(entry.stat) && (entry.stat.nlink === 0n || isDeletedBelow(entry, target)),
  describe: (entry) => `${isMemfd(entry) ? 'memfd' : 'deleted file'}, ${entry.link}`,
  problem: (entry) => {
    const { link } = entry;
    const leased = leaseProblem(entry);
    if (leased !== null) return leased;
    if (!hasPath(link)) return 'it is not a file of a file system';
    return null;
  },
  capture: ({ entries: [entry] }, context) => ({
    kind: 'object',
    flags: entry!.info.flags,
    object: captureObject(entry!, isMemfd(entry!) ? 'memfd' : 'deleted-file', context),
    offset: entry!.info.offset,
  }),
};

function isMemfd({ link }: Entry): boolean {
  return link.startsWith(MEMFD);
}

/** Opened once each, however many descriptions there are. */
const captured = new WeakMap<KindContext, Map<string, number>>();

/** Index of the object that the content of a regular file becomes. @throws Refusal */
export function captureObject(entry: Entry, kind: MemoryObject['kind'], context: KindContext): number {
  const known = captured.get(context) ?? new Map<string, number>();
  captured.set(context, known);
  const key = inodeKey(entry.stat);
  const index = known.get(key) ?? openObject(entry, kind, context);
  known.set(key, index);
  return index;
}

function openObject(entry: Entry, kind: MemoryObject['kind'], context: KindContext): number {
  const { stat, link } = entry;
  const { copy, content } = openForReading(entry, context);
  context.keep(copy);
  const uneven = sizeProblem(content.size, content.pageSize);
  if (uneven !== null) throw new Refusal(uneven);
  warnOfAttributes(entry, copy, context);
  const name = kind === 'memfd' ? link.slice(MEMFD.length) : link;
  const object: MemoryObject = {
    kind,
    name: kind !== 'embedded-file' && name.endsWith(DELETED) ? name.slice(0, -DELETED.length) : name,
    device: deviceName(stat.dev),
    inode: stat.ino,
    ...content,
    mode: Number(stat.mode) & 0o7777,
    seals: sealsOf(copy),
    owner: { uid: Number(stat.uid), gid: Number(stat.gid) },
    times: { accessed: stat.atimeNs, modified: stat.mtimeNs },
  };
  // What a mapping may have told of it already is less exact.
  return context.objects.replace(object, {
    fd: copy,
    base: 0n,
    ...(kind === 'embedded-file' ? { stamp: { path: link, size: stat.size, modified: stat.mtimeNs } } : {}),
  });
}

/** What a security module writes there is up to the machine. */
const OF_MACHINE = /^security\.(?!capability$)/;

/** What is lost of a file without a name. @param copy open otherwise than by O_PATH, which does not tell */
export function warnOfAttributes(entry: Entry, copy: number, { warnings }: KindContext): void {
  const names = flistxattr(copy).filter((name) => !OF_MACHINE.test(name));
  if (names.length > 0)
    warnings.push(
      `descriptor ${entry.fd} (${entry.link}): its extended attributes stay behind (${names.join(', ')})`,
    );
}

/** Opens a file by its descriptor, with an offset of our own; where that is forbidden, takes a duplicate. */
function openForReading(
  entry: Entry,
  { pid, duplicate }: KindContext,
): { copy: number; content: ReturnType<typeof contentOf> } {
  const { fd, info } = entry;
  try {
    const copy = openUnseen(linkOf(pid, entry));
    return { copy, content: contentOf(copy) };
  } catch (error) {
    if ((info.flags & O.ACCMODE) === O.WRONLY)
      throw new Refusal(`its content cannot be read: ${errnoOf(error)}`);
  }
  const copy = duplicate(fd);
  try {
    // Proves that it can be read. Looking for holes would move the offset, which is the target's.
    readSync(copy, new Uint8Array(1), 0, 1, 0);
    const pageSize = pageSizeOf(copy);
    if (pageSize > PAGE_SIZE) return { copy, content: contentOf(copy) };
    const { size } = fstatSync(copy);
    const extents = size > 0 ? [{ start: 0n, size, offset: 0 }] : [];
    return { copy, content: { size, pageSize, extents } };
  } catch (error) {
    closeSync(copy);
    throw new Refusal(`its content cannot be read: ${errnoOf(error)}`);
  }
}

/** Opens a file without leaving a time of access behind, where that is permitted. */
function openUnseen(path: string): number {
  try {
    return openSync(path, O.RDONLY | O.NOATIME | O.CLOEXEC);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    return openSync(path, O.RDONLY | O.CLOEXEC);
  }
}
