/** Directories that were deleted. Nothing can be in them, so that all there is of them are owner, mode and times. */
import { type BigIntStats, constants, statfsSync, statSync } from 'node:fs';
import { O } from '../../fcntl.js';
import type { DescriptorTable } from '../../snapshot/descriptors.js';
import { deviceName } from '../objects.js';
import { readLink } from '../read.js';
import { isMadeUp, isOfKernel } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { warnOfAttributes } from './memory.js';

const { S_IFMT, S_IFDIR } = constants;
const DELETED = ' (deleted)';

type Folders = DescriptorTable['folders'];

/** Directories without a name; not those of the kernel, which stand for something that is gone. */
export const folder: DescriptorKind = {
  matches: (entry, { pid }) => isRemoved(entry.stat) && entry.link.startsWith('/') && !isOfKernel(pid, entry),
  describe: ({ link, info }) => `deleted directory${info.flags & O.PATH ? ' by O_PATH' : ''}, ${link}`,
  problem: () => null,
  capture: ({ entries: [entry] }, context) => {
    context.withCopy(entry!.fd, (copy) => warnOfAttributes(entry!, copy, context));
    return {
      kind: 'folder',
      flags: entry!.info.flags,
      folder: addFolder(context.folders, entry!.stat, entry!.link),
      offset: entry!.info.offset,
    };
  },
};

function isRemoved({ mode, nlink }: BigIntStats): boolean {
  return (Number(mode) & S_IFMT) === S_IFDIR && nlink === 0n;
}

/** Index of a directory, which is added if it is not known. */
function addFolder(folders: Folders, stat: BigIntStats, link: string): number {
  const [device, inode] = [deviceName(stat.dev), stat.ino];
  const known = folders.findIndex((one) => one.device === device && one.inode === inode);
  return known >= 0 ? known : folders.push({ ...withoutName(stat, link), device, inode }) - 1;
}

/** What there is of something that had a path, and has none any more. */
export function withoutName(stat: BigIntStats, link: string): Omit<Folders[number], 'device' | 'inode'> {
  return {
    name: link.endsWith(DELETED) ? link.slice(0, -DELETED.length) : link,
    mode: Number(stat.mode) & 0o7777,
    owner: { uid: Number(stat.uid), gid: Number(stat.gid) },
    times: { accessed: stat.atimeNs, modified: stat.mtimeNs },
  };
}

/** Whether the working directory is one that was deleted and can be made again. Reads without a stop. */
export function isFolderRemoved(pid: number): boolean {
  const path = `/proc/${pid}/cwd`;
  return isRemoved(statSync(path, { bigint: true })) && !isMadeUp(statfsSync(path).type);
}

/** Index of the working directory, if it was deleted; `null` if it has a path. */
export function removedWorkingFolder(pid: number, folders: Folders): number | null {
  const path = `/proc/${pid}/cwd`;
  return isFolderRemoved(pid) ? addFolder(folders, statSync(path, { bigint: true }), readLink(path)) : null;
}
