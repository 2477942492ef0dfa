/** Whether a file can be opened again by the path that `/proc/PID/fd` shows. */
import { type BigIntStats, constants, lstatSync, statSync } from 'node:fs';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import type { Target } from './target.js';

const { S_IFMT, S_IFLNK } = constants;

/** What stands at each path; a process may have one file open many times. */
const lookups = new WeakMap<Target, Map<string, BigIntStats | string>>();

/** Why the path does not lead to the file; `null` if it does. */
export function pathProblem(entry: Entry, target: Target): string | null {
  if (!entry.link.startsWith('/')) return 'it has no path by which it could be opened again';
  if (entry.garbled) return 'its path is not valid UTF-8';
  const known = lookups.get(target) ?? new Map<string, BigIntStats | string>();
  lookups.set(target, known);
  const symlink = (Number(entry.stat.mode) & S_IFMT) === S_IFLNK;
  const key = `${symlink} ${entry.link}`;
  const found = known.get(key) ?? lookUp(target.root + entry.link, symlink ? lstatSync : statSync);
  known.set(key, found);
  if (typeof found === 'string') return found;
  return found.dev === entry.stat.dev && found.ino === entry.stat.ino
    ? null
    : 'its path now leads to another file';
}

function lookUp(path: string, stat: typeof lstatSync): BigIntStats | string {
  try {
    return stat(path, { bigint: true });
  } catch (error) {
    const code = errnoOf(error);
    const gone = code === 'ENOENT' || code === 'ENOTDIR';
    return gone ? 'its path is gone' : `its path cannot be looked up: ${code ?? String(error)}`;
  }
}
