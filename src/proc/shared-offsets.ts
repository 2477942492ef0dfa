/** Open file descriptions of regular files that a process shares with others that stay behind. Reads without a stop. */
import { O } from '../fcntl.js';
import { compareDescriptions } from '../native/syscalls.js';
import { type Entry, placeOf, readEntries } from './descriptors/entries.js';
import { isRegular } from './descriptors/regular.js';
import { nameOf } from './descriptors/threads.js';
import { descriptorsOf, outsiders, unlessRefused } from './outsiders.js';
import type { SharingConcessions } from './shared-outside.js';

/** A line for each: what one of the two reads or writes moves the other no more. */
export function offsetWarnings(
  pid: number,
  { dropChildren, descriptors }: Pick<SharingConcessions, 'dropChildren' | 'descriptors'>,
): string[] {
  const { drop, replace, inherit } = descriptors;
  const byLink = new Map<string, Entry[]>();
  for (const entry of readEntries(pid)) {
    const { fd, link } = entry;
    if (!hasOffset(entry) || drop.has(fd) || replace.has(fd) || inherit.has(fd)) continue;
    byLink.set(link, [...(byLink.get(link) ?? []), entry]);
  }
  if (byLink.size === 0) return [];
  const holders = new Map<Entry, number>();
  for (const other of outsiders(pid, !dropChildren)) {
    for (const theirs of descriptorsOf(other)) {
      const shared = byLink
        .get(theirs.link)
        ?.find((entry) => unlessRefused(() => compareDescriptions(placeOf(pid, entry), theirs), 1) === 0);
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
