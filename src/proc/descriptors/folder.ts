/** Directories that were deleted: nothing can be in them, but `..` leads to the one above still. */
import { type BigIntStats, constants, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { filePath } from '../../byte-text.js';
import { O } from '../../fcntl.js';
import type { DescriptorTable } from '../../snapshot/descriptors.js';
import { inodeKey } from '../inode.js';
import { deviceName } from '../objects.js';
import { readLink, unlessRefused } from '../read.js';
import { linkOf } from './entries.js';
import { isMadeUp, isOfKernel } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { warnOfAttributes } from './memory.js';
import { Refusal } from './refusal.js';

const { S_IFMT, S_IFDIR } = constants;
const DELETED = ' (deleted)';

type Folders = DescriptorTable['folders'];

/** Directories without a name; not those of the kernel, which stand for something that is gone. */
export const folder: DescriptorKind = {
  matches: (entry, { pid }) => isRemoved(entry.stat) && entry.link.startsWith('/') && !isOfKernel(pid, entry),
  describe: ({ link, info }) => `deleted directory${info.flags & O.PATH ? ' by O_PATH' : ''}, ${link}`,
  problem: (entry, { pid, root }) =>
    folderAbove(linkOf(pid, entry), entry.link, root) === null
      ? 'the directory above it, to which .. leads, has no path any more'
      : null,
  capture: ({ entries: [entry] }, context) => {
    const path = folderAbove(linkOf(context.pid, entry!), entry!.link, context.target.root);
    if (path === null) throw new Refusal('the directory above it was deleted meanwhile');
    context.withCopy(entry!.fd, (copy) => warnOfAttributes(entry!, copy, context));
    return {
      kind: 'folder',
      flags: entry!.info.flags,
      folder: addFolder(context.folders, entry!.stat, entry!.link, path),
      offset: entry!.info.offset,
    };
  },
};

function isRemoved({ mode, nlink }: BigIntStats): boolean {
  return (Number(mode) & S_IFMT) === S_IFDIR && nlink === 0n;
}

/** Index of a directory, which is added if it is not known. */
function addFolder(folders: Folders, stat: BigIntStats, link: string, path: string): number {
  const [device, inode] = [deviceName(stat.dev), stat.ino];
  const known = folders.findIndex((one) => one.device === device && one.inode === inode);
  return known >= 0 ? known : folders.push({ ...withoutName(stat, link), path, device, inode }) - 1;
}

/** What there is of something that had a path, and has none any more. */
export function withoutName(
  stat: BigIntStats,
  link: string,
): Omit<Folders[number], 'path' | 'device' | 'inode'> {
  return {
    name: nameOf(link),
    mode: Number(stat.mode) & 0o7777,
    owner: { uid: Number(stat.uid), gid: Number(stat.gid) },
    times: { accessed: stat.atimeNs, modified: stat.mtimeNs },
  };
}

function nameOf(link: string): string {
  return link.endsWith(DELETED) ? link.slice(0, -DELETED.length) : link;
}

/** Path of the directory above a deleted one; `null` where it is not the one to which `..` leads. */
function folderAbove(place: string, link: string, root: string): string | null {
  if (!link.startsWith('/')) return null;
  const above = dirname(nameOf(link));
  const look = (path: string) => unlessRefused(() => statSync(filePath(path), { bigint: true }), null);
  const [own, found] = [look(`${place}/..`), look(root + above)];
  return own && found && own.nlink > 0n && inodeKey(own) === inodeKey(found) ? above : null;
}

/** Whether the working directory is one that was deleted and can be made again. Reads without a stop. */
export function isFolderRemoved(pid: number): boolean {
  const path = `/proc/${pid}/cwd`;
  const isOne = isRemoved(statSync(path, { bigint: true })) && !isMadeUp(statfsSync(path).type);
  return isOne && folderAbove(path, readLink(path), '') !== null;
}

/** Index of the working directory, if it was deleted; `null` if it has a path. */
export function removedWorkingFolder(pid: number, folders: Folders): number | null {
  const path = `/proc/${pid}/cwd`;
  if (!isFolderRemoved(pid)) return null;
  const link = readLink(path);
  return addFolder(folders, statSync(path, { bigint: true }), link, dirname(nameOf(link)));
}
