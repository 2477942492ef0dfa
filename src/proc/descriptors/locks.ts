/** Locks that the process holds, and properties of a description that cannot be carried. */
import { O } from '../../fcntl.js';
import type { FileLock } from '../../snapshot/descriptors.js';
import { type DescriptorChoices, NULL_DEVICE } from './choices.js';
import type { Entry } from './entries.js';
import { parseLockLines } from './fdinfo.js';
import type { Description } from './kind.js';

/** Why a description of any kind cannot be carried; `null` if nothing stands against it. */
export function generalProblem({ info }: Entry): string | null {
  if (info.flags & O.ASYNC)
    return 'it sends signals when there is input or output (O_ASYNC), which is not carried';
  for (const lock of parseLockLines(info.text)) {
    if (lock.type === 'lease') return 'the process holds a lease on it (F_SETLEASE), which is not carried';
    if (lock.type === 'unknown') return `it has a lock of a kind that is not carried: ${lock.line}`;
  }
  return null;
}

/**
 * Locks of each description, in the order given. A POSIX lock goes to the first description that can take it.
 * What is passed in, and the null device, are others' as well: nothing is locked there.
 */
export function locksOf(
  descriptions: readonly Description[],
  choices: DescriptorChoices,
  warnings: string[],
): FileLock[][] {
  const assigned = new Set<string>();
  return descriptions.map(({ entries: [entry] }) => {
    const { fd, link, stat, info } = entry!;
    if (choices.inherit.has(fd) || choices.replace.get(fd) === NULL_DEVICE) {
      if (parseLockLines(info.text).length > 0)
        warnings.push(`the lock on ${link} (descriptor ${fd}) is let go of`);
      return [];
    }
    return parseLockLines(info.text).filter((lock): lock is FileLock => {
      if (lock.type === 'lease' || lock.type === 'unknown') return false;
      if (lock.type !== 'posix') return true;
      if ((info.flags & O.ACCMODE) === (lock.write ? O.RDONLY : O.WRONLY)) return false;
      const key = `${stat.dev} ${stat.ino} ${lock.write} ${lock.first} ${lock.last}`;
      const fresh = !assigned.has(key);
      assigned.add(key);
      return fresh;
    });
  });
}
