/** Whether a file can be opened again by the path that `/proc/PID/fd` shows. */
import { type BigIntStats, statSync } from 'node:fs';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import type { Target } from './target.js';

/** Why the path does not lead to the file; `null` if it does. */
export function pathProblem(entry: Entry, target: Target): string | null {
  if (!entry.link.startsWith('/')) return 'it has no path by which it could be opened again';
  if (entry.garbled) return 'its path is not valid UTF-8';
  let found: BigIntStats;
  try {
    found = statSync(target.root + entry.link, { bigint: true });
  } catch (error) {
    const code = errnoOf(error);
    return code === 'ENOENT' || code === 'ENOTDIR'
      ? 'its path is gone'
      : `its path cannot be looked up: ${code ?? String(error)}`;
  }
  return found.dev === entry.stat.dev && found.ino === entry.stat.ino
    ? null
    : 'its path now leads to another file';
}
