/** Files of the lower layers of an overlay, as containers have it: one that was deleted keeps its link there. */
import { type BigIntStats, statSync } from 'node:fs';
import { filePath } from '../../byte-text.js';
import { deviceNumbers } from '../objects.js';
import { unlessRefused } from '../read.js';
import type { Entry } from './entries.js';
import { infoField } from './fdinfo.js';
import { fileSystemOf, OVERLAYFS_MAGIC } from './file-systems.js';
import { once } from './once.js';
import { isPathGone } from './paths.js';
import type { Target } from './target.js';
import { readMounts } from './watched-files.js';

const DELETED = ' (deleted)';

/**
 * Whether a regular file was deleted, though it has a link: that by which it lies on a lower layer, which nothing
 * changes. It was the only one, so that no name leads to the file any more, and nobody can write to it.
 */
export function isDeletedBelow(entry: Entry, target: Target): boolean {
  const { link, stat } = entry;
  if (stat.nlink !== 1n || !link.endsWith(DELETED) || !isPathGone(entry, target)) return false;
  return fileSystemOf(target.pid, entry) === OVERLAYFS_MAGIC && isBelow(entry, target);
}

/**
 * What is older than the upper layer does not lie there: whatever is made in that, brought there, or loses one of its
 * links, has changed since. The root of an overlay tells the birth of its upper layer, where that file system knows it.
 */
function isBelow({ stat, info }: Entry, target: Target): boolean {
  const mounts = once(target, 'mounts', () => readMounts(target.pid));
  const device = mounts.find(({ id }) => id === Number(infoField(info.text, 'mnt_id')))?.device;
  const roots = mounts.filter((mount) => mount.device === device && mount.root === '/');
  return roots.some(({ point }) => {
    if (mounts.filter((mount) => mount.point === point).length > 1) return false;
    const root = lookAt(target.root + point);
    return root !== null && numberOf(root) === device && stat.ctimeNs < root.birthtimeNs;
  });
}

function lookAt(path: string): BigIntStats | null {
  return unlessRefused<BigIntStats | null>(() => statSync(filePath(path), { bigint: true }), null);
}

/** As `/proc/PID/mountinfo` writes it. */
function numberOf({ dev }: BigIntStats): string {
  const { major, minor } = deviceNumbers(dev);
  return `${major}:${minor}`;
}
