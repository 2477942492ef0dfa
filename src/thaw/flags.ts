/** Flags of open(2) and fcntl(2), `asm-generic/fcntl.h` as x86-64 has it. */
import { flagNames } from './calls.js';

export const O = {
  WRONLY: 0o1,
  RDWR: 0o2,
  ACCMODE: 0o3,
  NOCTTY: 0o400,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  DIRECT: 0o40000,
  LARGEFILE: 0o100000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  SYNC: 0o4010000,
  PATH: 0o10000000,
} as const;

const ACCESS = ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_ACCMODE'] as const;
const STATUS = Object.fromEntries(
  (
    [
      // SYNC holds the bit of DSYNC: first come, first named.
      'SYNC',
      'APPEND',
      'NONBLOCK',
      'DSYNC',
      'DIRECT',
      'DIRECTORY',
      'NOFOLLOW',
      'NOATIME',
      'PATH',
      'NOCTTY',
      'CLOEXEC',
    ] as const
  ).map((name) => [`O_${name}`, O[name]]),
);

/** `O_WRONLY|O_APPEND`. O_LARGEFILE, which every 64-bit program has, is left out. */
export function openFlagNames(flags: number): string {
  const access = ACCESS[flags & O.ACCMODE]!;
  const status = flagNames(flags & ~(O.ACCMODE | O.LARGEFILE), STATUS, '');
  return status === '' ? access : `${access}|${status}`;
}

/** Commands of fcntl(2). */
export const F = {
  GETFD: 1,
  SETFD: 2,
  SETFL: 4,
  SETLK: 6,
  OFD_GETLK: 36,
  OFD_SETLK: 37,
  SETPIPE_SZ: 1031,
  ADD_SEALS: 1033,
} as const;

export const FD_CLOEXEC = 1;
export const AT_FDCWD = -100;
