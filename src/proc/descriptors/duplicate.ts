/** Duplicates of descriptors of another process. */
import { closeSync } from 'node:fs';
import { pidfdGetfd, pidfdOpen } from '../../native/syscalls.js';

/**
 * Runs `use` with a duplicate of a process's descriptor. The process may run.
 * @throws Error as pidfd_getfd(2): EPERM, EBADF where it is closed
 */
export function withDuplicateOf<T>(pid: number, fd: number, use: (copy: number) => T): T {
  const process = pidfdOpen(pid);
  try {
    const copy = pidfdGetfd(process, fd);
    try {
      return use(copy);
    } finally {
      closeSync(copy);
    }
  } finally {
    closeSync(process);
  }
}
