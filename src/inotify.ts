/** Constants of inotify(7): `linux/inotify.h`. */
export const IN = {
  ...{ ACCESS: 0x1, MODIFY: 0x2, ATTRIB: 0x4, CLOSE_WRITE: 0x8, CLOSE_NOWRITE: 0x10, OPEN: 0x20 },
  ...{ MOVED_FROM: 0x40, MOVED_TO: 0x80, CREATE: 0x100, DELETE: 0x200, DELETE_SELF: 0x400, MOVE_SELF: 0x800 },
  /** Its file system is gone. */
  UNMOUNT: 0x2000,
  /** Events were lost, for lack of room. */
  Q_OVERFLOW: 0x4000,
  /** The watch is gone. */
  IGNORED: 0x8000,
  /** Not for files that were unlinked meanwhile: kept with the events, and none itself. */
  EXCL_UNLINK: 0x0400_0000,
  /** For the call alone: a symbolic link is watched itself. */
  DONT_FOLLOW: 0x0200_0000,
  /** Of an event: it is about a folder. */
  ISDIR: 0x4000_0000,
} as const;

/** `sizeof (struct inotify_event)`, to a multiple of which its name is filled up with zeros. */
export const INOTIFY_EVENT = 16;
/** The longest name that an event can have, in bytes: NAME_MAX. */
export const MOST_NAME = 255;
/** Events that were not read: so many are put back. */
export const MOST_EVENTS = 2048;

/** What happens to one of a folder's, which the event names. */
const NAMED = IN.CREATE | IN.DELETE | IN.MOVED_FROM | IN.MOVED_TO;
/** What happens to the very file that is watched. */
const NAMELESS = IN.DELETE_SELF | IN.MOVE_SELF | IN.IGNORED;
const EITHER = IN.ACCESS | IN.MODIFY | IN.ATTRIB | IN.CLOSE_WRITE | IN.CLOSE_NOWRITE | IN.OPEN;
/** What happens to no folder. */
const FILES_ONLY = IN.MODIFY | IN.CLOSE_WRITE | IN.IGNORED;

/**
 * Whether the kernel can be made to tell of this again: one thing that happened, with a name where that is told.
 * @param named whether it bears a name
 */
export function isRepeatable(mask: number, named: boolean): boolean {
  const what = mask & ~IN.ISDIR;
  const single = what > 0 && (what & (what - 1)) === 0;
  if (!single || ((mask & IN.ISDIR) !== 0 && (what & FILES_ONLY) !== 0)) return false;
  return (what & (named ? NAMED | EITHER : NAMELESS | EITHER)) !== 0;
}

/** Bytes that an event takes in the queue. @param name bytes of its name, 0 for none */
export function eventSize(name: number): number {
  return INOTIFY_EVENT + (name === 0 ? 0 : Math.ceil((name + 1) / INOTIFY_EVENT) * INOTIFY_EVENT);
}
