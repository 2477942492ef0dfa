/**
 * Typed wrappers around the system calls that Node does not offer, for x86-64. Each throws as
 * `addon.syscall` does: an Error with `code`, `errno` and `syscall`.
 */
import { endianness } from 'node:os';
import { bytesOfText } from '../byte-text.js';
import { O } from '../fcntl.js';
import { addon } from './addon.js';

export { type PageRange, scanByWords, scanGuards, scanPagemap } from './pagemap.js';

if (endianness() !== 'LE') throw new Error('only little-endian processors are supported');

/** Numbers of `asm/unistd_64.h`. */
const NR = {
  ioctl: 16,
  fcntl: 72,
  getpriority: 140,
  sched_getparam: 143,
  sched_getscheduler: 145,
  sched_getaffinity: 204,
  flistxattr: 196,
  clock_gettime: 228,
  ioprio_get: 252,
  get_robust_list: 274,
  tee: 276,
  pipe2: 293,
  prlimit64: 302,
  kcmp: 312,
  membarrier: 324,
  statx: 332,
  pidfd_open: 434,
  pidfd_getfd: 438,
  faccessat2: 439,
  cachestat: 451,
} as const;

/** What {@link kcmp} compares; `KCMP_*` of `linux/kcmp.h`. */
export const Kcmp = { FILE: 0, VM: 1, FILES: 2, FS: 3, SIGHAND: 4, IO: 5, SYSVSEM: 6, EPOLL_TFD: 7 } as const;

/**
 * kcmp(2): whether two processes share a kernel object. For `FILE` the indexes are descriptors, for
 * `EPOLL_TFD` use {@link kcmpEpoll}. Returns 0 for the same object, 1 or 2 for an order that holds
 * as long as both live, 3 for different ones without order.
 */
export function kcmp(pid1: number, pid2: number, type: number, index1 = 0, index2 = 0): number {
  return Number(addon.syscall(NR.kcmp, pid1, pid2, type, index1, index2));
}

/** `XATTR_LIST_MAX` of linux/limits.h. */
const XATTR_LIST_MAX = 65536;

/** flistxattr(2): the names of a file's extended attributes; none where the file system knows of none. */
export function flistxattr(fd: number): string[] {
  const names = Buffer.alloc(XATTR_LIST_MAX);
  try {
    const length = Number(addon.syscall(NR.flistxattr, fd, names, names.length));
    return names.toString('utf8', 0, length).split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/** A descriptor of a process. */
export interface ProcessDescriptor {
  readonly pid: number;
  readonly fd: number;
}

/** Compares open file descriptions by kcmp(2): 0 for the same, else -1 or 1 by an order in which they can be sorted. */
export function compareDescriptions(one: ProcessDescriptor, other: ProcessDescriptor): number {
  const order = kcmp(one.pid, other.pid, Kcmp.FILE, one.fd, other.fd);
  return order === 0 ? 0 : order === 1 ? -1 : 1;
}

/**
 * kcmp(2) with `KCMP_EPOLL_TFD`: whether descriptor `fd` of `pid1` is what the epoll set `epoll` of
 * `pid2` watches under the number `target`; `nth` counts the entries with that number from 0.
 * @throws ENOENT where the set has no such entry.
 */
export function kcmpEpoll(
  pid1: number,
  fd: number,
  pid2: number,
  epoll: number,
  target: number,
  nth: number,
): number {
  const slot = new Uint8Array(Uint32Array.of(epoll, target, nth).buffer); // struct kcmp_epoll_slot
  return Number(addon.syscall(NR.kcmp, pid1, pid2, Kcmp.EPOLL_TFD, fd, slot));
}

/** pidfd_open(2): a descriptor that names the process `pid`. */
export function pidfdOpen(pid: number): number {
  return Number(addon.syscall(NR.pidfd_open, pid, 0));
}

const F_DUPFD_CLOEXEC = 1030;

/** fcntl(2) F_DUPFD_CLOEXEC: another descriptor of ours for the same open file description. */
export function duplicate(fd: number): number {
  return Number(addon.syscall(NR.fcntl, fd, F_DUPFD_CLOEXEC, 0));
}

/** pidfd_getfd(2): a copy of descriptor `fd` of the process; shares its open file description. */
export function pidfdGetfd(pidfd: number, fd: number): number {
  return Number(addon.syscall(NR.pidfd_getfd, pidfd, fd, 0));
}

/** get_robust_list(2): address and length of the head of a thread's list of robust futexes. */
export function getRobustList(tid: number): { head: bigint; length: bigint } {
  const head = new BigUint64Array(1);
  const length = new BigUint64Array(1);
  addon.syscall(NR.get_robust_list, tid, new Uint8Array(head.buffer), new Uint8Array(length.buffer));
  return { head: head[0]!, length: length[0]! };
}

/** sched_getaffinity(2): a bit mask of the CPUs a thread may run on, as many bytes as the kernel uses. */
export function schedGetaffinity(tid: number): Uint8Array {
  const mask = new Uint8Array(1024); // 8192 CPUs: NR_CPUS_RANGE_END of x86
  const size = Number(addon.syscall(NR.sched_getaffinity, tid, mask.length, mask));
  return mask.slice(0, size);
}

/** sched_getscheduler(2): `SCHED_*`, with `SCHED_RESET_ON_FORK` (0x40000000) where it is set. */
export function schedGetscheduler(tid: number): number {
  return Number(addon.syscall(NR.sched_getscheduler, tid));
}

/** sched_getparam(2): the real-time priority, 0 for the other policies. */
export function schedGetparam(tid: number): number {
  const param = new Int32Array(1);
  addon.syscall(NR.sched_getparam, tid, new Uint8Array(param.buffer));
  return param[0]!;
}

/** getpriority(2) with `PRIO_PROCESS`: the nice value of a thread, -20 to 19. */
export function getpriority(tid: number): number {
  return 20 - Number(addon.syscall(NR.getpriority, 0, tid)); // the raw call returns 20 - nice
}

/** ioprio_get(2) with `IOPRIO_WHO_PROCESS`: class and level of a thread; 0 where they follow from its nice value. */
export function ioprioGet(tid: number): number {
  const IOPRIO_WHO_PROCESS = 1;
  const CLASS_SHIFT = 13;
  let priority: number;
  try {
    priority = Number(addon.syscall(NR.ioprio_get, IOPRIO_WHO_PROCESS, tid));
  } catch (error) {
    // Kernels without block devices have no such call.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSYS') throw error;
    return 0;
  }
  return priority >> CLASS_SHIFT === 0 ? 0 : priority;
}

/**
 * prlimit(2), read only. `RLIM_INFINITY` is 2^64 - 1.
 * @throws EPERM for a process of another user without `CAP_SYS_RESOURCE`.
 */
export function prlimit(pid: number, resource: number): { soft: bigint; hard: bigint } {
  const limits = new BigUint64Array(2);
  addon.syscall(NR.prlimit64, pid, resource, 0, new Uint8Array(limits.buffer));
  return { soft: limits[0]!, hard: limits[1]! };
}

/** pipe2(2): reader and writer, with close-on-exec and without waiting. */
export function makePipe(): [number, number] {
  const fds = new Int32Array(2);
  addon.syscall(NR.pipe2, new Uint8Array(fds.buffer), O.CLOEXEC | O.NONBLOCK);
  return [fds[0]!, fds[1]!];
}

/** `SPLICE_F_NONBLOCK` of splice(2). */
export const SPLICE_F_NONBLOCK = 2;

/** tee(2): copies up to `length` bytes from pipe to pipe without consuming them; returns how many. */
export function tee(from: number, to: number, length: number, flags: number): number {
  return Number(addon.syscall(NR.tee, from, to, length, flags));
}

/** fcntl(2), F_GETFL: access mode and status flags. */
export function fcntlGetfl(fd: number): number {
  return Number(addon.syscall(NR.fcntl, fd, 3));
}

/** fcntl(2), F_GETPIPE_SZ: capacity of a pipe in bytes. */
export function fcntlGetPipeSize(fd: number): number {
  return Number(addon.syscall(NR.fcntl, fd, 1032));
}

/** fcntl(2), F_SETPIPE_SZ: sets the capacity of a pipe; returns what it became, in bytes. */
export function fcntlSetPipeSize(fd: number, size: number): number {
  return Number(addon.syscall(NR.fcntl, fd, 1031, size));
}

/** fcntl(2), F_GET_SEALS: `F_SEAL_*` of a memfd. @throws EINVAL where the file knows no seals. */
export function fcntlGetSeals(fd: number): number {
  return Number(addon.syscall(NR.fcntl, fd, 1034));
}

/** Whom a descriptor's SIGIO goes to; `F_OWNER_*` of fcntl(2). An id of 0: nobody. */
export interface FileOwner {
  readonly type: 'thread' | 'process' | 'group';
  readonly id: number;
}

/** fcntl(2), F_GETOWN_EX: the form of F_GETOWN that tells a group from an error. */
export function fcntlGetOwner(fd: number): FileOwner {
  const owner = new Int32Array(2); // struct f_owner_ex
  addon.syscall(NR.fcntl, fd, 16, new Uint8Array(owner.buffer));
  const type = (['thread', 'process', 'group'] as const)[owner[0]!];
  if (type === undefined) throw new RangeError(`F_GETOWN_EX returned the unknown type ${owner[0]}`);
  return { type, id: owner[1]! };
}

/** fcntl(2), F_GETSIG: the signal sent when input or output becomes possible; 0 is SIGIO. */
export function fcntlGetsig(fd: number): number {
  return Number(addon.syscall(NR.fcntl, fd, 11));
}

/** ioctl(2) with memory that the kernel reads and writes. Returns its result. */
export function ioctl(fd: number, request: number, memory: Uint8Array): number {
  return Number(addon.syscall(NR.ioctl, fd, request, memory));
}

/** ioctl_tty(2), FIONREAD: bytes that can be read now. */
export function fionread(fd: number): number {
  const count = new Int32Array(1);
  ioctl(fd, 0x541b, new Uint8Array(count.buffer));
  return count[0]!;
}

/** SIOCATMARK: whether the next byte of a socket is urgent data (sockatmark(3)). */
export function isAtMark(fd: number): boolean {
  const flag = new Int32Array(1);
  ioctl(fd, 0x8905, new Uint8Array(flag.buffer));
  return flag[0] !== 0;
}

/** ioctl_tty(2), TCGETS2: `struct termios2`, 44 bytes. @throws ENOTTY where it is no terminal. */
export function tcgets2(fd: number): Uint8Array {
  const modes = new Uint8Array(44);
  ioctl(fd, 0x802c542a, modes);
  return modes;
}

/** ioctl_tty(2), TIOCGWINSZ: `struct winsize`, 8 bytes. */
export function tiocgwinsz(fd: number): Uint8Array {
  const size = new Uint8Array(8);
  ioctl(fd, 0x5413, size);
  return size;
}

/** Clocks of clock_gettime(2). */
export const Clock = { REALTIME: 0, MONOTONIC: 1, BOOTTIME: 7 } as const;

/** clock_gettime(2): nanoseconds since the clock's origin. */
export function clockGettime(clock: number): bigint {
  const time = new BigInt64Array(2); // struct timespec
  addon.syscall(NR.clock_gettime, clock, new Uint8Array(time.buffer));
  return time[0]! * 1_000_000_000n + time[1]!;
}

/** Waits while nothing else of this process runs. */
export function sleepSync(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** membarrier(2), MEMBARRIER_CMD_GLOBAL: all that the kernel was amidst of without being preempted is done. */
export function awaitGracePeriod(): void {
  try {
    addon.syscall(NR.membarrier, 1, 0, 0);
  } catch {
    // With CONFIG_NO_HZ_FULL there is no such call: time must do.
    sleepSync(50);
  }
}

/**
 * cachestat(2): how many pages of a range of a file are in memory, with content or not. `end`: `null` for all there are.
 * @throws ENOSYS before Linux 6.5; EPERM for a file that is another user's
 */
export function cachedPages(fd: number, start: bigint, end: bigint | null): number {
  const range = new BigUint64Array([start, end === null ? 0n : end - start]);
  const found = new BigUint64Array(5); // struct cachestat: nr_cache comes first
  addon.syscall(NR.cachestat, fd, new Uint8Array(range.buffer), new Uint8Array(found.buffer), 0);
  return Number(found[0]!);
}

const AT_FDCWD = -100;
const AT_EACCESS = 0x200;
/** `R_OK` and `W_OK`. */
export const Access = { READ: 4, WRITE: 2 } as const;

/** faccessat2(2): whether we may open a file, by our effective ids and capabilities. @throws EACCES, EROFS; ENOSYS before Linux 5.8 */
export function effectiveAccess(path: string, mode: number): void {
  addon.syscall(NR.faccessat2, AT_FDCWD, bytesOfText(`${path}\0`), mode, AT_EACCESS);
}

/** `STATX_ATTR_*`, which chattr(1) sets. */
export const StatxAttribute = { IMMUTABLE: 0x10n, APPEND: 0x20n } as const;

/** statx(2): attributes of a file that a path leads to. */
export function fileAttributes(path: string): bigint {
  const found = Buffer.alloc(256); // struct statx
  addon.syscall(NR.statx, AT_FDCWD, bytesOfText(`${path}\0`), 0, 0, found);
  return found.readBigUInt64LE(8);
}
