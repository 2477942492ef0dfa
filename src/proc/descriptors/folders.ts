/** Folders in which files are looked for that the kernel has no path of any more, while the process is stopped. */

import { type Dirent, opendirSync } from 'node:fs';
import { join } from 'node:path';
import { filePath, textOfBytes } from '../../byte-text.js';
import { errnoOf } from '../read.js';
import { once } from './once.js';
import type { Target } from './target.js';

/** How many entries of all folders are looked at. */
const MOST_ENTRIES = 20_000;

/**
 * Shows the entries of a folder of the process one by one; none of one that is gone or not permitted.
 * @param visit whether that was enough; the path is as `textOfBytes` makes it
 * @returns `false` if it ended at the limit, before all were seen
 */
export function lookThrough(
  target: Target,
  folder: string,
  visit: (entry: Dirent, path: string) => boolean,
): boolean {
  const looks = once(target, 'entries of folders', () => ({ count: 0 }));
  try {
    // The types know of no names as bytes here.
    const encoding = 'buffer' as BufferEncoding;
    const opened = opendirSync(filePath(target.root + folder), { bufferSize: 256, encoding });
    try {
      for (let entry = opened.readSync(); entry !== null; entry = opened.readSync()) {
        if (looks.count >= MOST_ENTRIES) return false;
        looks.count++;
        const name = textOfBytes(entry.name as unknown as Buffer);
        if (visit(entry, join(folder, name))) return true;
      }
    } finally {
      opened.closeSync();
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
  return true;
}
