/** Looking a descriptor of another process up among those of the process: kcmp(2) tells whether both are of one open file. */
import { compareDescriptions, type ProcessDescriptor } from '../native/syscalls.js';
import { type Entry, placeOf } from './descriptors/entries.js';
import { orderDescriptions } from './descriptors/sharing.js';
import type { OutsideDescriptor } from './outsiders.js';
import { unlessRefused } from './read.js';

/** Finds the first of some descriptors of a process that shares its open file description with another's. */
export function finderOf(
  pid: number,
  entries: readonly Entry[],
): (theirs: OutsideDescriptor) => Entry | undefined {
  const byLink = new Map<string, Candidates>();
  for (const entry of entries) {
    const candidates = byLink.get(entry.link) ?? new Candidates(pid);
    byLink.set(entry.link, candidates);
    candidates.entries.push(entry);
  }
  return (theirs) => byLink.get(theirs.link)?.find(theirs);
}

/** Descriptors of one link, which may be thousands: another's is compared with few of them. */
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
