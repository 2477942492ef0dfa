/** sock_diag(7): what the kernel tells of all Unix domain sockets of this network namespace. */
import { closeSync } from 'node:fs';
import { addon } from './addon.js';

/** Numbers of `asm/unistd_64.h`. */
const NR = { socket: 41, sendto: 44, recvfrom: 45 } as const;
const AF_UNIX = 1;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_SOCK_DIAG = 4;
/** `linux/netlink.h`, `linux/sock_diag.h` */
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const SOCK_DIAG_BY_FAMILY = 20;
const NLMSGHDR = 16;
/** `linux/unix_diag.h`: what is asked for. */
const SHOW = { NAME: 1, VFS: 2, PEER: 4, ICONS: 8, RQLEN: 16 } as const;
/** `linux/unix_diag.h`: attributes of the reply. */
const ATTRIBUTE = { NAME: 0, VFS: 1, PEER: 2, ICONS: 3, RQLEN: 4, SHUTDOWN: 6 } as const;
/** `sizeof (struct unix_diag_msg)` */
const UNIX_DIAG_MSG = 16;
/** The kernel fills at most 32 KiB at a time. */
const REPLY_SIZE = 65536;

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
  const flags = SOCK_RAW | SOCK_CLOEXEC;
  const fd = Number(addon.syscall(NR.socket, AF_NETLINK, flags, NETLINK_SOCK_DIAG));
  try {
    const request = dumpRequest();
    addon.syscall(NR.sendto, fd, request, request.length, 0, 0, 0);
    const sockets = new Map<bigint, UnixSocket>();
    const buffer = Buffer.alloc(REPLY_SIZE);
    for (;;) {
      const length = Number(addon.syscall(NR.recvfrom, fd, buffer, buffer.length, 0, 0, 0));
      if (parseReply(buffer.subarray(0, length), sockets)) return sockets;
    }
  } finally {
    closeSync(fd);
  }
}

function dumpRequest(): Buffer {
  const request = Buffer.alloc(NLMSGHDR + 24); // struct nlmsghdr, struct unix_diag_req
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  request.writeUInt8(AF_UNIX, NLMSGHDR);
  request.writeUInt32LE(0xffff_ffff, NLMSGHDR + 4); // sockets in any state
  request.writeUInt32LE(
    Object.values(SHOW).reduce((all, bit) => all | bit, 0),
    NLMSGHDR + 12,
  );
  return request;
}

/** Adds the sockets of one datagram. Returns whether it was the last. */
function parseReply(reply: Buffer, sockets: Map<bigint, UnixSocket>): boolean {
  for (let at = 0; at + NLMSGHDR <= reply.length; ) {
    const length = reply.readUInt32LE(at);
    const type = reply.readUInt16LE(at + 4);
    if (type === NLMSG_DONE) return true;
    if (type === NLMSG_ERROR) {
      const number = -reply.readInt32LE(at + NLMSGHDR);
      throw new Error(`sock_diag failed with errno ${number} (is the kernel's module unix_diag there?)`);
    }
    const socket = parseSocket(reply.subarray(at + NLMSGHDR, at + length));
    sockets.set(socket.inode, socket);
    at += align(length);
  }
  return false;
}

function parseSocket(message: Buffer): UnixSocket {
  const found = new Map<number, Buffer>();
  for (let at = UNIX_DIAG_MSG; at + 4 <= message.length; ) {
    const length = message.readUInt16LE(at);
    found.set(message.readUInt16LE(at + 2), message.subarray(at + 4, at + length));
    at += align(length);
  }
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

function align(length: number): number {
  return (length + 3) & ~3;
}
