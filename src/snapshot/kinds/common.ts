/** What several kinds of open file descriptions have. */
import * as z from 'zod';
import { bytes, index, int, text, word } from '../fields.js';

/** A classic filter of SO_ATTACH_FILTER: `struct sock_filter` each, 4096 at most; `null` where there is none. */
export const socketFilter = bytes
  .refine((value) => value.length > 0 && value.length % 8 === 0 && value.length <= 32768, 'no filter')
  .nullable()
  .default(null);

/** Name of a network interface. */
export const interfaceName = text.max(15);

export const termios = bytes.refine((value) => value.length === 44, 'a termios2 has 44 bytes');

export const winsize = bytes.refine((value) => value.length === 8, 'a winsize has 8 bytes');

/** `NR_UNIX98_PTY_MAX` of linux/pty.h. */
export const ptyNumber = index.max((1 << 20) - 1);

/**
 * A lock on a file.
 * - `posix`: fcntl(2) F_SETLK, owned by the process
 * - `ofd`: F_OFD_SETLK, owned by the open file description
 * - `flock`: flock(2), owned by the open file description
 */
export const lockSchema = z.object({
  type: z.enum(['posix', 'ofd', 'flock']),
  write: z.boolean(),
  /** First and last byte; `null`: to the end of the file, however long it becomes. */
  first: word,
  last: word.nullable(),
});

/**
 * What is sent when input or output becomes possible (O_ASYNC, which is among the flags), or a lease is broken:
 * fcntl(2) F_SETOWN_EX and F_SETSIG.
 */
export const fileSignalSchema = z.object({
  /** To whom: nobody, the process, or a thread by its id; `null`: the first thread. */
  owner: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('nobody') }),
    z.object({ kind: z.literal('process') }),
    z.object({ kind: z.literal('thread'), tid: index.nullable() }),
  ]),
  /** 0: SIGIO, without more said of it. */
  signal: int.min(0).max(64),
  /** The number that it bears, and by which it is asked for; left out: that of the only descriptor. */
  number: index.max(0x7fff_ffff).optional(),
});

/** What every open file description has, whatever its kind. */
export const common = {
  /** `O_*` access mode and status flags from fdinfo, without O_CLOEXEC. */
  flags: int.min(0),
  /** POSIX locks of the process are listed with one of the descriptions through which they can be taken. */
  locks: z.array(lockSchema),
  /** Left out where nobody was named. */
  signals: fileSignalSchema.optional(),
  /** A lease on the file: fcntl(2) F_SETLEASE. */
  lease: z.enum(['read', 'write']).optional(),
  /** Of a socket, or a pipe without a path: whom fstat(2) tells, and the firewall's owner match. */
  owner: z.object({ uid: index, gid: index }).optional(),
};

/**
 * It was connected to others when it was frozen, and is found closed by the user's choice: `--tcp close`,
 * `--unix-peer close`, `--pty-peer close`. Left out where it was not, or is still.
 */
export const letGo = z.literal(true).optional();

/** A file that is watched, which must be found again by its path; type and device as for a `file`. */
export const watched = {
  path: text,
  type: z.enum(['regular', 'directory', 'device', 'fifo', 'socket', 'symlink']),
  device: z.object({ major: int, minor: int }).nullable(),
};
