/** Constants of openat(2) and fcntl(2): `asm-generic/fcntl.h`, `linux/fcntl.h`. Node.js does not name all of them. */

/** Access modes and flags of open(2), without their `O_`, as x86-64 has them. */
export const O = {
  RDONLY: 0,
  WRONLY: 0o1,
  RDWR: 0o2,
  ACCMODE: 0o3,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  ASYNC: 0o20000,
  DIRECT: 0o40000,
  LARGEFILE: 0o100000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  SYNC: 0o4010000,
  PATH: 0o10000000,
  TMPFILE: 0o20200000,
} as const;

/** The flag of F_SETFD. */
export const FD_CLOEXEC = 1;

/** In place of a directory's descriptor: the working directory. */
export const AT_FDCWD = -100;
