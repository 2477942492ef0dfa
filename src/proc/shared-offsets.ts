/** Open file descriptions of regular files that a process shares with others that stay behind: their offsets. */
import { O } from '../fcntl.js';
import type { Entry } from './descriptors/entries.js';
import { isRegular } from './descriptors/regular.js';
import { nameOf } from './descriptors/threads.js';

/** What one of the two reads or writes moves the other no more. @param holder the other process */
export function offsetWarning({ fd, link }: Entry, holder: number): string {
  return `descriptor ${fd} (file, ${link}) has its offset in common with process ${nameOf(holder)}, which stays behind: in the image it has one of its own`;
}

/** Whether it is a file in which an offset counts: not where all is written at the end. */
export function hasOffset({ stat, info: { flags } }: Entry): boolean {
  if (!isRegular(stat) || stat.nlink === 0n || flags & O.PATH) return false;
  return !(flags & O.APPEND) || (flags & O.ACCMODE) !== O.WRONLY;
}
