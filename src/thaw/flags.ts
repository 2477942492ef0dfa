/** Flags of open(2) in words, and commands of fcntl(2). */
import { O } from '../fcntl.js';
import { flagNames } from './calls.js';

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
      // TMPFILE holds the bit of DIRECTORY.
      'TMPFILE',
      'DIRECTORY',
      'NOFOLLOW',
      'NOATIME',
      'PATH',
      'NOCTTY',
      'CREAT',
      'EXCL',
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
  SETOWN: 8,
  SETSIG: 10,
  SETOWN_EX: 15,
  OFD_GETLK: 36,
  OFD_SETLK: 37,
  SETLEASE: 1024,
  SETPIPE_SZ: 1031,
  ADD_SEALS: 1033,
  DUPFD_CLOEXEC: 1030,
} as const;
