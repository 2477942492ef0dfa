/** Which sockets of a process have an address in common, and could not have it by the options that they have now. */
import type { OpenFile } from './descriptors.js';
import { type Alike, entryOf, Ports, type Sharing } from './ports.js';

/** How sockets must be bound that could not be by their own options. */
export interface Shares {
  /** By index of the file: what has to be on. */
  readonly needed: ReadonlyMap<number, ReadonlySet<Sharing>>;
  /** By index: all that have their addresses in common, itself among them, ascending. */
  readonly together: ReadonlyMap<number, readonly number[]>;
}

/** Looks through the files of a table. */
export function sharesOf(files: readonly OpenFile[]): Shares {
  const ports = new Ports();
  for (const [index, file] of files.entries()) {
    if (file.kind === 'inet') ports.add(file, index);
  }
  const needed = new Map<number, ReadonlySet<Sharing>>();
  const groups = new Map<Alike, Alike[]>();
  for (const some of ports.all()) {
    const hows = new Set<Sharing>();
    for (const { other, how } of ports.sharing(some)) {
      hows.add(how);
      join(groups, some, other);
    }
    if (hows.size > 0) for (const index of some.members) needed.set(index, hows);
  }
  const together = new Map<number, readonly number[]>();
  for (const group of new Set(groups.values())) {
    const list = group.flatMap(({ members }) => members).sort((a, b) => a - b);
    for (const index of list) together.set(index, list);
  }
  return { needed, together };
}

/** Makes one group of two: the smaller goes into the larger. */
function join(groups: Map<Alike, Alike[]>, one: Alike, other: Alike): void {
  const [first, second] = [entryOf(groups, one, () => [one]), entryOf(groups, other, () => [other])];
  if (first === second) return;
  const [small, large] = first.length < second.length ? [first, second] : [second, first];
  for (const alike of small) {
    large.push(alike);
    groups.set(alike, large);
  }
}
