/** nfnetlink: what is said to nf_tables from here. */
import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { AF_NETLINK, align, NLMSG_ERROR, NLMSG_TYPE, NLMSGHDR } from '../netlink.js';
import { addon } from './addon.js';
import { makeSocket } from './sockets.js';

/** Numbers of `asm/unistd_64.h`. */
const NR = { sendto: 44, recvfrom: 45, setsockopt: 54 } as const;
const SOCK_RAW = 3;
const NETLINK_NETFILTER = 12;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO = { SNDBUFFORCE: 32, RCVBUFFORCE: 33 } as const;
/** The kernel repeats a request that it refuses. */
const REPLY_SIZE = 1 << 17;

/** A message with its header. */
export interface Reply {
  readonly type: number;
  readonly bytes: Buffer;
}

/**
 * Sends messages to nf_tables, in one piece, and reads what it answers.
 * @returns the replies
 * @throws Error with `code` for what it refuses; then nothing was done
 */
export function askNetfilter(messages: Uint8Array): Reply[] {
  const fd = makeSocket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  try {
    const size = new Uint8Array(Int32Array.of(2 * messages.length + REPLY_SIZE).buffer);
    for (const option of [SO.SNDBUFFORCE, SO.RCVBUFFORCE]) {
      addon.syscall(NR.setsockopt, fd, SOL_SOCKET, option, size, size.length);
    }
    addon.syscall(NR.sendto, fd, messages, messages.length, 0, 0, 0);
    // All answers are there when the call returns.
    return [...replies(fd)].map((reply) => {
      const error = reply.type === NLMSG_ERROR ? reply.bytes.readInt32LE(NLMSGHDR) : 0;
      if (error !== 0) throw netfilterError(error);
      return reply;
    });
  } finally {
    closeSync(fd);
  }
}

function* replies(fd: number): Generator<Reply> {
  const buffer = Buffer.alloc(REPLY_SIZE);
  for (;;) {
    let length: number;
    try {
      length = Number(addon.syscall(NR.recvfrom, fd, buffer, buffer.length, MSG_DONTWAIT, 0, 0));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return;
      throw error;
    }
    for (let at = 0; at + NLMSGHDR <= length; at += align(buffer.readUInt32LE(at))) {
      const bytes = Buffer.from(buffer.subarray(at, at + buffer.readUInt32LE(at)));
      yield { type: bytes.readUInt16LE(NLMSG_TYPE), bytes };
    }
  }
}

function netfilterError(errno: number): Error {
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(`nf_tables: ${code}`), { code });
}
