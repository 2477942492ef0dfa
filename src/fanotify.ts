/** Constants of fanotify_init(2) and fanotify_mark(2): `linux/fanotify.h`. */
export const FAN = {
  CLOEXEC: 0x1,
  NONBLOCK: 0x2,
  /** Classes that decide on the access of others; 0: none of them. */
  CLASS: 0xc,
  MARK_ADD: 0x1,
  MARK_DONT_FOLLOW: 0x4,
  MARK_MOUNT: 0x10,
  MARK_IGNORED_MASK: 0x20,
  MARK_IGNORED_SURV_MODIFY: 0x40,
  MARK_FILESYSTEM: 0x100,
  MARK_EVICTABLE: 0x200,
  MARK_IGNORE: 0x400,
} as const;
