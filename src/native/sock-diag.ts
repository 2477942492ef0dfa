/** sock_diag(7): what the kernel tells of all Unix domain sockets of this network namespace. */

import { attributesOf } from '../netlink.js';
import { AF_UNIX } from '../socket.js';
import { dumpSockets } from './diag.js';

/** `linux/unix_diag.h`: what is asked for. */
const SHOW = { NAME: 1, VFS: 2, PEER: 4, ICONS: 8, RQLEN: 16 } as const;
/** `linux/unix_diag.h`: attributes of the reply. */
const ATTRIBUTE = { NAME: 0, VFS: 1, PEER: 2, ICONS: 3, RQLEN: 4, SHUTDOWN: 6 } as const;
/** `sizeof (struct unix_diag_msg)` */
const UNIX_DIAG_MSG = 16;

/** States that a Unix domain socket can be in; `net/tcp_states.h`. */
export const SocketState = { ESTABLISHED: 1, CLOSE: 7, LISTEN: 10 } as const;

/** A Unix domain socket. */
export interface UnixSocket {
  readonly inode: bigint;
  /** `SOCK_*` */
  readonly type: number;
  /** {@link SocketState} */
  readonly state: number;
  /** `sun_path` without the NUL behind a path; empty for a socket without a name. */
  readonly name: Uint8Array;
  /** Lower 32 bits of the inode that its path led to; `null` where it has none. */
  readonly node: number | null;
  /** Inode of the socket it is connected to: 0 if that is closed, or not accepted yet; `null` if there is none. */
  readonly peer: bigint | null;
  /** Inodes of the sockets whose connections wait to be accepted; 0 for one that was closed meanwhile. */
  readonly pending: readonly bigint[];
  /**
   * Bytes that can be read: all of a stream or of sequenced packets, those of the first datagram. Of a
   * listening socket the connections that wait.
   */
  readonly queued: number;
  /** Memory, in bytes, of what it has sent and nobody has read. Of a listening socket the backlog. */
  readonly sent: number;
  /** 1: receives nothing more; 2: sends nothing more. */
  readonly shutdown: number;
}

/** All Unix domain sockets of the network namespace in which this process is, by inode. */
export function unixSockets(): Map<bigint, UnixSocket> {
  const request = Buffer.alloc(24); // struct unix_diag_req
  request.writeUInt8(AF_UNIX, 0);
  request.writeUInt32LE(0xffff_ffff, 4); // sockets in any state
  request.writeUInt32LE(
    Object.values(SHOW).reduce((all, bit) => all | bit, 0),
    12,
  );
  const sockets = dumpSockets(request, parseSocket);
  return new Map(sockets.map((socket) => [socket.inode, socket]));
}

function parseSocket(message: Buffer): UnixSocket {
  const found = attributesOf(message.subarray(UNIX_DIAG_MSG));
  const word = (attribute: number, index: number): number | null =>
    found.get(attribute)?.readUInt32LE(index * 4) ?? null;
  const peer = word(ATTRIBUTE.PEER, 0);
  const pending = found.get(ATTRIBUTE.ICONS) ?? Buffer.alloc(0);
  return {
    inode: BigInt(message.readUInt32LE(4)),
    type: message.readUInt8(1),
    state: message.readUInt8(2),
    name: nameOf(found.get(ATTRIBUTE.NAME)),
    node: word(ATTRIBUTE.VFS, 0),
    peer: peer === null ? null : BigInt(peer),
    pending: Array.from({ length: pending.length / 4 }, (_, i) => BigInt(pending.readUInt32LE(i * 4))),
    queued: word(ATTRIBUTE.RQLEN, 0) ?? 0,
    sent: word(ATTRIBUTE.RQLEN, 1) ?? 0,
    shutdown: found.get(ATTRIBUTE.SHUTDOWN)?.readUInt8(0) ?? 0,
  };
}

/** A path ends with a NUL; an abstract name is all its bytes. */
function nameOf(bytes: Buffer = Buffer.alloc(0)): Uint8Array {
  const end = bytes.length > 0 && bytes[0] !== 0 ? bytes.indexOf(0) : -1;
  return Uint8Array.from(end < 0 ? bytes : bytes.subarray(0, end));
}
