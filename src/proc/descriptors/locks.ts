/** Locks and leases that the process holds. */
import { O } from '../../fcntl.js';
import type { FileLock, OpenFile } from '../../snapshot/descriptors.js';
import { type DescriptorChoices, NULL_DEVICE } from './choices.js';
import type { Entry } from './entries.js';
import { parseLockLines } from './fdinfo.js';
import type { Description } from './kind.js';

/** Why the locks of a description cannot be carried; `null` if nothing stands against it. */
export function lockProblem({ info }: Entry): string | null {
  for (const lock of parseLockLines(info.text)) {
    if (lock.type === 'lease' && lock.broken)
      return 'its lease (F_SETLEASE) is being broken, and the process has yet to give way';
    if (lock.type === 'unknown') return `it has a lock of a kind that is not carried: ${lock.line}`;
  }
  return null;
}

/** Why a file that is to travel in the image cannot: opening it, to read it, would break its lease. */
export function leaseProblem({ info }: Entry): string | null {
  return leaseOf(info.text) === undefined
    ? null
    : 'the process holds a lease on it (F_SETLEASE), which would be broken by reading it for the image';
}

/** The lease that a description holds. */
export function leaseOf(text: string): OpenFile['lease'] {
  const lease = parseLockLines(text).find(({ type }) => type === 'lease');
  return lease?.type === 'lease' ? (lease.write ? 'write' : 'read') : undefined;
}

/** The lock or lease that goes with the open file, whoever has it, in words; `null` where there is none. */
export function ownLocks({ info }: Entry): string | null {
  const types = new Set(parseLockLines(info.text).map(({ type }) => type));
  if (types.has('lease')) return 'lease (F_SETLEASE)';
  if (types.has('flock')) return 'lock (flock)';
  return types.has('ofd') ? 'lock (F_OFD_SETLK)' : null;
}

/** Says that a description will have no lock, or no lease, any more. @param what path of the file */
export function lockLetGo(what: string, fd: number, lease: OpenFile['lease']): string {
  return `the ${lease ? 'lease' : 'lock'} on ${what} (descriptor ${fd}) is let go of`;
}

/**
 * Locks and lease of each description, in the order given. A POSIX lock goes to the first description that can take
 * it. What is passed in, and the null device, are others' as well: nothing is locked there.
 */
export function locksOf(
  descriptions: readonly Description[],
  choices: DescriptorChoices,
  warnings: string[],
): Pick<OpenFile, 'locks' | 'lease'>[] {
  const assigned = new Set<string>();
  return descriptions.map(({ entries: [entry] }) => {
    const { fd, link, stat, info } = entry!;
    const lease = leaseOf(info.text);
    if (choices.inherit.has(fd) || choices.replace.get(fd) === NULL_DEVICE) {
      if (parseLockLines(info.text).length > 0) warnings.push(lockLetGo(link, fd, lease));
      return { locks: [] };
    }
    const locks = parseLockLines(info.text).filter((lock): lock is FileLock => {
      if (lock.type === 'lease' || lock.type === 'unknown') return false;
      if (lock.type !== 'posix') return true;
      if ((info.flags & O.ACCMODE) === (lock.write ? O.RDONLY : O.WRONLY)) return false;
      const key = `${stat.dev} ${stat.ino} ${lock.write} ${lock.first} ${lock.last}`;
      const fresh = !assigned.has(key);
      assigned.add(key);
      return fresh;
    });
    return lease === undefined ? { locks } : { locks, lease };
  });
}
