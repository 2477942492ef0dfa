/** PIDFD_GET_INFO: what the kernel tells of a process that has ended. */
import { errnoOf } from '../errno.js';
import { PIDFD_GET_INFO, PIDFD_INFO, PIDFD_INFO_AT, PIDFD_INFO_SIZE } from '../pidfd.js';
import { ioctl } from './syscalls.js';

/** How a process has ended. */
export interface ProcessEnd {
  /** As wait(2) has it. */
  readonly exit: number;
  /** Bits of `coredump_mask`: of a core dump, or why there was none. */
  readonly dump: number;
}

/**
 * How the process of a pidfd has ended; `null` where the kernel does not tell, as before Linux 6.15.
 * @throws EREMOTE where it was one of a namespace that does not lie within ours
 */
export function endOf(pidfd: number): ProcessEnd | null {
  const info = Buffer.alloc(PIDFD_INFO_SIZE);
  info.writeBigUInt64LE(BigInt(PIDFD_INFO.EXIT | PIDFD_INFO.COREDUMP), PIDFD_INFO_AT.MASK);
  try {
    ioctl(pidfd, PIDFD_GET_INFO, info);
  } catch (error) {
    if (['ENOTTY', 'EINVAL', 'ESRCH'].includes(errnoOf(error) ?? '')) return null;
    throw error;
  }
  const told = Number(info.readBigUInt64LE(PIDFD_INFO_AT.MASK));
  if (!(told & PIDFD_INFO.EXIT)) return null;
  return {
    exit: info.readInt32LE(PIDFD_INFO_AT.EXIT_CODE),
    dump: told & PIDFD_INFO.COREDUMP ? info.readUInt32LE(PIDFD_INFO_AT.COREDUMP_MASK) : 0,
  };
}
