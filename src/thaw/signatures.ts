/** How strace shows the operands of the system calls that thaw programs make. */
import { quoted } from '../byte-text.js';
import { flagNames, protNames } from './calls.js';
import { openFlagNames } from './flags.js';
import { RESOURCES } from './limits.js';
import { SYSCALL_NUMBERS } from './syscall-numbers.js';

/** Shows one operand; `string` reads a string of the thaw data segment. */
type Show = (value: bigint, string: (address: bigint) => string | null) => string;

const signed = (value: bigint): string => String(BigInt.asIntN(64, value));
const int: Show = (value) => String(BigInt.asIntN(32, value));
const size: Show = signed;
const hex: Show = (value) => `0x${value.toString(16)}`;
const octal: Show = (value) => (value === 0n ? '0' : `0${value.toString(8)}`);
const address: Show = (value) => (value === 0n ? 'NULL' : `0x${value.toString(16)}`);
const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
const prot: Show = (value) => protNames(low(value));
const open: Show = (value) => openFlagNames(low(value));
const directory: Show = (value) => (low(value) === -100 ? 'AT_FDCWD' : int(value, () => null));
const path: Show = (value, string) => {
  const text = string(value);
  return text === null ? address(value, string) : quoted(text);
};

const MAP = {
  MAP_SHARED_VALIDATE: 3,
  MAP_SHARED: 1,
  MAP_PRIVATE: 2,
  MAP_FIXED: 0x10,
  MAP_ANONYMOUS: 0x20,
  MAP_GROWSDOWN: 0x100,
  MAP_LOCKED: 0x2000,
  MAP_NORESERVE: 0x4000,
  MAP_POPULATE: 0x8000,
  MAP_STACK: 0x20000,
  MAP_HUGETLB: 0x40000,
  MAP_FIXED_NOREPLACE: 0x100000,
};
const map: Show = (value) => flagNames(low(value), MAP, '0');
const MREMAP = { MREMAP_MAYMOVE: 1, MREMAP_FIXED: 2, MREMAP_DONTUNMAP: 4 };
const mremap: Show = (value) => flagNames(low(value), MREMAP, '0');

/** Flags of calls that make descriptors, without an access mode. */
const FLAGS = { O_CLOEXEC: 0o2000000, O_NONBLOCK: 0o4000, O_DIRECT: 0o40000, EFD_SEMAPHORE: 1 };
const create: Show = (value) => flagNames(low(value), FLAGS, '0');
/** A descriptor of a range: the last may be ~0. */
const last: Show = (value) => (BigInt.asUintN(32, value) === 0xffff_ffffn ? '~0U' : signed(value));

/** A number with names (linux/prctl.h, asm/prctl.h, linux/resource.h). */
function named(names: Readonly<Record<number, string>>): Show {
  return (value) => names[low(value)] ?? int(value, () => null);
}
const prctl = named({
  1: 'PR_SET_PDEATHSIG',
  4: 'PR_SET_DUMPABLE',
  8: 'PR_SET_KEEPCAPS',
  15: 'PR_SET_NAME',
  24: 'PR_CAPBSET_DROP',
  28: 'PR_SET_SECUREBITS',
  29: 'PR_SET_TIMERSLACK',
  35: 'PR_SET_MM',
  36: 'PR_SET_CHILD_SUBREAPER',
  38: 'PR_SET_NO_NEW_PRIVS',
  41: 'PR_SET_THP_DISABLE',
  47: 'PR_CAP_AMBIENT',
  1398164801: 'PR_SET_VMA',
});
const archPrctl = named({
  4097: 'ARCH_SET_GS',
  4098: 'ARCH_SET_FS',
  4131: 'ARCH_REQ_XCOMP_PERM',
});
const resource = named(Object.fromEntries(RESOURCES.entries()));
const whence = named({ 0: 'SEEK_SET', 1: 'SEEK_CUR', 2: 'SEEK_END' });
const fcntl = named({
  1: 'F_GETFD',
  2: 'F_SETFD',
  3: 'F_GETFL',
  4: 'F_SETFL',
  5: 'F_GETLK',
  6: 'F_SETLK',
  36: 'F_OFD_GETLK',
  37: 'F_OFD_SETLK',
  1030: 'F_DUPFD_CLOEXEC',
  1031: 'F_SETPIPE_SZ',
  1033: 'F_ADD_SEALS',
});
const epoll = named({ 1: 'EPOLL_CTL_ADD', 2: 'EPOLL_CTL_DEL', 3: 'EPOLL_CTL_MOD' });
const timer = named({ 0: 'ITIMER_REAL', 1: 'ITIMER_VIRTUAL', 2: 'ITIMER_PROF' });

const SIGNATURES: Readonly<Record<string, readonly Show[]>> = {
  read: [int, address, size],
  write: [int, path, size],
  close: [int],
  fstat: [int, address],
  lseek: [int, size, whence],
  mmap: [address, size, prot, map, int, hex],
  mprotect: [address, size, prot],
  munmap: [address, size],
  brk: [address],
  rt_sigaction: [int, address, address, size],
  rt_sigprocmask: [int, address, address, size],
  ioctl: [int, hex, hex],
  pread64: [int, address, size, size],
  pwrite64: [int, address, size, size],
  mremap: [address, size, size, mremap, address],
  madvise: [address, size, int],
  dup2: [int, int],
  dup3: [int, int, create],
  getitimer: [timer, address],
  setitimer: [timer, address, address],
  getpid: [],
  gettid: [],
  clone: [hex, address],
  exit_group: [int],
  fcntl: [int, fcntl, hex],
  flock: [int, int],
  ftruncate: [int, size],
  chdir: [path],
  fchmod: [int, octal],
  umask: [octal],
  setgroups: [int, address],
  setresuid: [int, int, int],
  setresgid: [int, int, int],
  setfsuid: [int],
  setfsgid: [int],
  capset: [address, address],
  kill: [int, int],
  tgkill: [int, int, int],
  rt_sigqueueinfo: [int, int, address],
  rt_tgsigqueueinfo: [int, int, int, address],
  sigaltstack: [address, address],
  personality: [hex],
  setpriority: [int, int, int],
  sched_setscheduler: [int, int, address],
  sched_setaffinity: [int, size, address],
  prctl: [prctl, hex, hex, hex, hex],
  arch_prctl: [archPrctl, hex],
  set_tid_address: [address],
  timer_settime: [int, int, address, address],
  timer_gettime: [int, address],
  clock_gettime: [int, address],
  epoll_ctl: [int, epoll, int, address],
  epoll_create1: [create],
  openat: [directory, path, open, octal],
  newfstatat: [directory, path, address, hex],
  set_robust_list: [address, size],
  eventfd2: [int, create],
  io_setup: [int, address],
  io_destroy: [address],
  pipe2: [address, create],
  prlimit64: [int, resource, address, address],
  memfd_create: [path, hex],
  mlock2: [address, size, int],
  mlockall: [int],
  mseal: [address, size, int],
  ioprio_set: [int, int, int],
  statx: [directory, path, hex, hex, address],
  rseq: [address, size, int, hex],
  waitid: [int, int, address, hex],
  pidfd_open: [int, hex],
  close_range: [int, last, hex],
};

const NAMES = new Map<number, string>(
  Object.entries(SYSCALL_NUMBERS).map(([name, number]) => [number, name]),
);

/** Name of a system call; `syscall_500` for one that is not in the table. */
export function syscallName(number: number): string {
  return NAMES.get(number) ?? `syscall_${number}`;
}

/** An operand that is a cell: its content is known at run time only. */
export function showCell(cell: bigint): string {
  return `[0x${cell.toString(16)}]`;
}

/** A system call as strace would print it. */
export function showSyscall(
  number: number,
  args: readonly bigint[],
  indirect: number,
  string: (address: bigint) => string | null,
): string {
  const name = syscallName(number);
  const signature = SIGNATURES[name] ?? args.map(() => hex);
  const shown = signature.map((show, i) =>
    indirect & (1 << i) ? showCell(args[i]!) : show(args[i]!, string),
  );
  return `${name}(${shown.join(', ')})`;
}
