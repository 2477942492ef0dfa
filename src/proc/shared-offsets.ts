/** Open file descriptions of regular files that a process shares with others that stay behind. Reads without a stop. */
import { O } from '../fcntl.js';
import { compareDescriptions, type ProcessDescriptor } from '../native/syscalls.js';
import { type Entry, placeOf, readEntries } from './descriptors/entries.js';
import { isRegular } from './descriptors/regular.js';
import { orderDescriptions } from './descriptors/sharing.js';
import { nameOf } from './descriptors/threads.js';
import { descriptorsOf, type OutsideDescriptor, outsiders, unlessRefused } from './outsiders.js';
import type { SharingConcessions } from './shared-outside.js';

/** A line for each: what one of the two reads or writes moves the other no more. */
export function offsetWarnings(
  pid: number,
  { dropChildren, descriptors }: Pick<SharingConcessions, 'dropChildren' | 'descriptors'>,
): string[] {
  const { drop, replace, inherit } = descriptors;
  const byLink = new Map<string, Candidates>();
  for (const entry of readEntries(pid)) {
    const { fd, link } = entry;
    if (!hasOffset(entry) || drop.has(fd) || replace.has(fd) || inherit.has(fd)) continue;
    const candidates = byLink.get(link) ?? new Candidates(pid);
    byLink.set(link, candidates);
    candidates.entries.push(entry);
  }
  if (byLink.size === 0) return [];
  const holders = new Map<Entry, number>();
  for (const other of outsiders(pid, !dropChildren)) {
    for (const theirs of descriptorsOf(other)) {
      const shared = byLink.get(theirs.link)?.find(theirs);
      if (shared && !holders.has(shared)) holders.set(shared, other);
    }
  }
  return [...holders].map(
    ([{ fd, link }, other]) =>
      `descriptor ${fd} (file, ${link}) has its offset in common with process ${nameOf(other)}, which stays behind: in the image it has one of its own`,
  );
}

/** Descriptors of one path, which may be thousands: another's is compared with few of them. */
class Candidates {
  /** Ascending. */
  readonly entries: Entry[] = [];
  readonly #pid: number;
  /** By open file, in the order of kcmp; `null` where that cannot be had, as one was closed meanwhile. */
  #groups: readonly Entry[][] | null | undefined;
  readonly #byNumber = new Map<number, Entry>();

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** The first that has the same open file. */
  find(theirs: OutsideDescriptor): Entry | undefined {
    const groups = this.#order();
    // What a child has from the fork has the same number.
    const alike = this.#byNumber.get(theirs.fd);
    if (alike && unlessRefused(() => this.#compare(alike, theirs), 1) === 0) return alike;
    try {
      if (groups) return this.#search(groups, theirs);
    } catch {
      // Either was closed, or theirs may not be compared with any.
    }
    if (unlessRefused(() => compareDescriptions(theirs, theirs), 1) !== 0) return undefined;
    return this.entries.find((entry) => unlessRefused(() => this.#compare(entry, theirs), 1) === 0);
  }

  #order(): readonly Entry[][] | null {
    if (this.#groups !== undefined) return this.#groups;
    const known = this.entries.filter((entry) =>
      unlessRefused(() => this.#compare(entry, placeOf(this.#pid, entry)) === 0, false),
    );
    this.#groups = unlessRefused(() => orderDescriptions(this.#pid, known), null);
    for (const group of this.#groups ?? []) for (const { fd } of group) this.#byNumber.set(fd, group[0]!);
    return this.#groups;
  }

  /** By halves. */
  #search(groups: readonly Entry[][], theirs: OutsideDescriptor): Entry | undefined {
    let [from, to] = [0, groups.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const first = groups[middle]![0]!;
      const order = this.#compare(first, theirs);
      if (order === 0) return first;
      if (order < 0) from = middle + 1;
      else to = middle;
    }
    return undefined;
  }

  #compare(entry: Entry, other: ProcessDescriptor): number {
    return compareDescriptions(placeOf(this.#pid, entry), other);
  }
}

/** Whether it is a file in which an offset counts: not where all is written at the end. */
function hasOffset({ stat, info: { flags } }: Entry): boolean {
  if (!isRegular(stat) || stat.nlink === 0n || flags & O.PATH) return false;
  return !(flags & O.APPEND) || (flags & O.ACCMODE) !== O.WRONLY;
}
