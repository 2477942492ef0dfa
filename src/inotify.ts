/** Constants of inotify(7): `linux/inotify.h`. */
export const IN = {
  ACCESS: 0x1,
  CLOSE_NOWRITE: 0x10,
  OPEN: 0x20,
  /** Not for files that were unlinked meanwhile: kept with the events, and none itself. */
  EXCL_UNLINK: 0x0400_0000,
  /** For the call alone: a symbolic link is watched itself. */
  DONT_FOLLOW: 0x0200_0000,
} as const;
