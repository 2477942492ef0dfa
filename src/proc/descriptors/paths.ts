/** Whether a file can be opened again by the path that `/proc/PID/fd` shows. */

import { type BigIntStats, constants, lstatSync, statSync } from 'node:fs';
import { filePath } from '../../byte-text.js';
import { namespaceOf } from '../namespaces.js';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import { isOfKernel } from './file-systems.js';
import type { Target } from './target.js';

const { S_IFMT, S_IFBLK, S_IFCHR, S_IFLNK } = constants;

/** What stands at each path; a process may have one file open many times. */
interface Lookups {
  readonly found: Map<string, BigIntStats | string>;
  /** The process has other mounts than we have. */
  readonly apart: boolean;
}

const lookups = new WeakMap<Target, Lookups>();

/** Why the path does not lead to the file; `null` if it does. */
export function pathProblem(entry: Entry, target: Target): string | null {
  if (!entry.link.startsWith('/')) return 'it has no path by which it could be opened again';
  const { apart } = lookupsOf(target);
  const found = lookUpOnce(target.root + entry.link, entry, target);
  if (typeof found === 'string') return found;
  if (!isSame(found, entry.stat)) return 'its path now leads to another file';
  return apart && leadsElsewhere(entry, target) ? NOT_FROM_HERE : null;
}

/** Whether nothing is found at the path. */
export function isPathGone(entry: Entry, target: Target): boolean {
  return pathProblem(entry, target) === GONE;
}

const GONE = 'its path is gone';

/** Why something cannot be made again at its path: the process has mounts of its own, and an image is run without. */
export const NOT_FROM_HERE = 'its path does not lead there from here (mount_namespaces)';

/** Whether a path leads us to the same file as the process. */
export function leadsHere(path: string, target: Target): boolean {
  if (!lookupsOf(target).apart) return true;
  const [theirs, ours] = [target.root + path, path].map((name) => lookUp(name, lstatSync));
  return typeof theirs === 'object' && typeof ours === 'object' && isSame(theirs, ours);
}

function lookupsOf(target: Target): Lookups {
  const known = lookups.get(target);
  if (known) return known;
  const apart = namespaceOf(target.pid, 'mnt') !== namespaceOf('self', 'mnt');
  const made = { found: new Map<string, BigIntStats | string>(), apart };
  lookups.set(target, made);
  return made;
}

/** Whether we find another file at the path, or none. Devices, and what the kernel makes up, are the same everywhere. */
function leadsElsewhere(entry: Entry, target: Target): boolean {
  const type = Number(entry.stat.mode) & S_IFMT;
  if (type === S_IFCHR || type === S_IFBLK) return false;
  const found = lookUpOnce(entry.link, entry, target);
  return (typeof found === 'string' || !isSame(found, entry.stat)) && !isOfKernel(target.pid, entry);
}

function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

function lookUpOnce(path: string, { stat }: Entry, target: Target): BigIntStats | string {
  const { found } = lookupsOf(target);
  const symlink = (Number(stat.mode) & S_IFMT) === S_IFLNK;
  const key = `${symlink} ${path}`;
  const known = found.get(key) ?? lookUp(path, symlink ? lstatSync : statSync);
  found.set(key, known);
  return known;
}

function lookUp(path: string, stat: typeof lstatSync): BigIntStats | string {
  try {
    return stat(filePath(path), { bigint: true });
  } catch (error) {
    const code = errnoOf(error);
    const gone = code === 'ENOENT' || code === 'ENOTDIR';
    return gone ? GONE : `its path cannot be looked up: ${code ?? String(error)}`;
  }
}
