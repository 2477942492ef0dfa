/** A Unix domain socket. */
import * as z from 'zod';
import { isSocketPath, socketPath } from '../../unix-name.js';
import { bytes, index, int, text } from '../fields.js';
import { common, letGo, socketFilter } from './common.js';
import { kindModel } from './model.js';

/** `SCM_MAX_FD`: the most descriptors that a message can carry. */
const MOST_PASSED = 253;
/** `NGROUPS_MAX`. */
const MOST_GROUPS = 65536;

/** A user or group; the last number means none. */
const id = int.min(0).max(0xffff_fffe);

const schema = z.object({
  kind: z.literal('unix'),
  ...common,
  type: z.enum(['stream', 'datagram', 'seqpacket']),
  /** `sun_path`: a path, or an abstract name behind a NUL; empty for a socket without a name. */
  name: bytes.refine((value) => value.length <= 108, 'a name has at most 108 bytes'),
  /** The folder at which a name starts that is a relative path. */
  folder: text.startsWith('/').nullable().default(null),
  /** It has its name from the listening socket that accepted it. */
  accepted: z.boolean(),
  /** The socket file, at the path that is its name or where it was moved to; `null` where there is none. */
  node: z
    .object({
      mode: int.min(0).max(0o7777),
      uid: index,
      gid: index,
      /** Where it was moved since it was bound (rename(2)); `null` where it is at its name. */
      path: text.refine(isSocketPath, 'is no path of a socket').nullable().default(null),
    })
    .nullable(),
  /** Of a listening socket. */
  backlog: index.nullable(),
  /** The socket that it is connected to: index into `files`. */
  peer: index.nullable(),
  /**
   * Not `null`: it was connected, and the other end is closed.
   * `reset`: with bytes that it had not read, of which this end is yet to be told (ECONNRESET).
   */
  gone: z.object({ reset: z.boolean() }).nullable(),
  letGo,
  /** 1: nothing more is received; 2: nothing more is sent. */
  shutdown: int.min(0).max(3),
  /** What can be read: one entry a message, which of a stream may be several that carry no descriptors. */
  content: z.array(bytes),
  /** What is on its way in it (SCM_RIGHTS): index into `content`, ascending, and into `files`. */
  passed: z.array(z.object({ message: index, files: z.array(index).min(1).max(MOST_PASSED) })).default([]),
  /**
   * Whom SO_PEERCRED and SO_PEERGROUPS tell: who made the pair, listened or connected. `null`: nobody, or not noted down
   * in the image.
   */
  peerCredentials: z
    .object({ uid: id, gid: id, groups: z.array(id).max(MOST_GROUPS) })
    .nullable()
    .default(null),
  /** The content bears the credentials of the process itself (SO_PASSCRED), or pidfds of it (SO_PASSPIDFD). */
  credentials: z.boolean(),
  /** By message, the user and group in those; nothing where they are not told. */
  senders: z.array(z.object({ uid: id, gid: id })).default([]),
  /** SO_SNDBUF and SO_RCVBUF as getsockopt(2) tells them. */
  sendBuffer: index,
  receiveBuffer: index,
  /** SO_BUF_LOCK: which of both the program has set; `null` where the kernel did not tell. */
  bufferLocks: int.min(0).max(3).nullable().default(null),
  /** Options of SOL_SOCKET that a new socket does not have. */
  options: z.array(z.object({ option: index, value: bytes })),
  filter: socketFilter,
});

type Unix = z.infer<typeof schema>;

/** A Unix domain socket. */
export const unix = kindModel({
  schema,
  title: () => 'Unix domain socket',
  describe,
});

function describe(file: Unix): string {
  const bytes = file.content.reduce((sum, part) => sum + part.length, 0);
  const parts = [
    file.type,
    file.name.length > 0 ? socketPath(file.name, file.folder) : '',
    file.backlog === null ? '' : `listens, backlog ${file.backlog}`,
    file.peer === null ? '' : `to file ${file.peer}`,
    file.gone ? 'its peer has gone' : '',
    bytes > 0 ? `${bytes} bytes in it` : '',
    ...file.passed.map(
      ({ message, files }) =>
        `with message ${message} on their way: ${files.map((sent) => `file ${sent}`).join(' ')}`,
    ),
  ];
  return parts.filter((part) => part !== '').join(', ');
}
