/** Open file descriptions of regular files that a process shares with others that stay behind. Reads without a stop. */
import { O } from '../fcntl.js';
import { type Entry, readEntries } from './descriptors/entries.js';
import { isRegular } from './descriptors/regular.js';
import { nameOf } from './descriptors/threads.js';
import { descriptorsOf, outsiders } from './outsiders.js';
import { finderOf } from './same-description.js';
import type { SharingConcessions } from './shared-outside.js';

/** A line for each: what one of the two reads or writes moves the other no more. */
export function offsetWarnings(
  pid: number,
  { dropChildren, descriptors }: Pick<SharingConcessions, 'dropChildren' | 'descriptors'>,
): string[] {
  const { drop, replace, inherit } = descriptors;
  const entries = readEntries(pid).filter(
    (entry) => hasOffset(entry) && !drop.has(entry.fd) && !replace.has(entry.fd) && !inherit.has(entry.fd),
  );
  if (entries.length === 0) return [];
  const find = finderOf(pid, entries);
  const holders = new Map<Entry, number>();
  for (const other of outsiders(pid, !dropChildren)) {
    for (const theirs of descriptorsOf(other)) {
      const shared = find(theirs);
      if (shared && !holders.has(shared)) holders.set(shared, other);
    }
  }
  return [...holders].map(
    ([{ fd, link }, other]) =>
      `descriptor ${fd} (file, ${link}) has its offset in common with process ${nameOf(other)}, which stays behind: in the image it has one of its own`,
  );
}

/** Whether it is a file in which an offset counts: not where all is written at the end. */
function hasOffset({ stat, info: { flags } }: Entry): boolean {
  if (!isRegular(stat) || stat.nlink === 0n || flags & O.PATH) return false;
  return !(flags & O.APPEND) || (flags & O.ACCMODE) !== O.WRONLY;
}
