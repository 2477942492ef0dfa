/** Which descriptors share an open file description. */

import { PermissionError } from '../../errors.js';
import { O } from '../../fcntl.js';
import { compareDescriptions } from '../../native/syscalls.js';
import { errnoOf } from '../read.js';
import { type Entry, nameOf, placeOf } from './entries.js';
import { infoField } from './fdinfo.js';

/**
 * Groups descriptors by open file description: n log n comparisons at most, as kcmp(2) gives an
 * order. Each group ascends, and the groups ascend by their first descriptor.
 * @throws PermissionError where kcmp is not there or not permitted, and is needed
 */
export function groupByDescription(pid: number, entries: readonly Entry[]): Entry[][] {
  const candidates = new Map<string, Entry[]>();
  for (const entry of entries) {
    const key = descriptionKey(entry);
    const list = candidates.get(key);
    if (list) list.push(entry);
    else candidates.set(key, [entry]);
  }
  return [...candidates.values()]
    .flatMap((list) => (list.length === 1 ? [list] : orderDescriptions(pid, list)))
    .sort((a, b) => a[0]!.fd - b[0]!.fd);
}

/** Descriptors with different keys cannot share a description: it is of one file, with one access mode. */
function descriptionKey({ stat, link, info }: Entry): string {
  // All eventfds and epoll sets have one inode; the kernel numbers the former.
  const event = link === 'anon_inode:[eventfd]' ? infoField(info.text, 'eventfd-id') : null;
  return `${stat.dev} ${stat.ino} ${info.flags & O.ACCMODE} ${link.startsWith('anon_inode:') ? link : ''} ${event ?? ''}`;
}

/**
 * The same of any descriptors, the groups in the order of kcmp.
 * @throws PermissionError where kcmp is not there or not permitted, or one is closed meanwhile
 */
export function orderDescriptions(pid: number, entries: readonly Entry[]): Entry[][] {
  const ordered = [...entries].sort((a, b) => compare(pid, a, b));
  const groups: Entry[][] = [];
  for (const entry of ordered) {
    const group = groups.at(-1);
    if (group && compare(pid, group[0]!, entry) === 0) group.push(entry);
    else groups.push([entry]);
  }
  for (const group of groups) group.sort((a, b) => a.fd - b.fd);
  return groups;
}

function compare(pid: number, a: Entry, b: Entry): number {
  try {
    return compareDescriptions(placeOf(pid, a), placeOf(pid, b));
  } catch (error) {
    const code = errnoOf(error) ?? String(error);
    throw new PermissionError(
      `cannot tell whether ${nameOf(a)} and ${nameOf(b)} share an open file: kcmp: ${code}` +
        (code === 'ENOSYS' ? ' (this kernel was built without CONFIG_KCMP)' : ''),
    );
  }
}
