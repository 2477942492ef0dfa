/** Questions to sock_diag(7): one goes out, and everything that matches comes back. */
import { closeSync } from 'node:fs';
import { AF_NETLINK, align, message, NLM, NLMSG_ERROR, NLMSGHDR } from '../netlink.js';
import { addon } from './addon.js';
import { makeSocket } from './sockets.js';

/** Numbers of `asm/unistd_64.h`. */
const NR = { sendto: 44, recvfrom: 45 } as const;
const SOCK_RAW = 3;
const NETLINK_SOCK_DIAG = 4;
/** `linux/netlink.h`, `linux/sock_diag.h` */
const NLMSG_DONE = 3;
const SOCK_DIAG_BY_FAMILY = 20;
/** The kernel fills at most 32 KiB at a time. */
const REPLY_SIZE = 65536;

/**
 * Asks for sockets of the network namespace in which this process is.
 * @param request what stands behind the header: `struct unix_diag_req` and the like
 * @param parse turns a message, without its header, into what it tells
 * @throws Error where the kernel has no such table
 */
export function dumpSockets<T>(request: Uint8Array, parse: (message: Buffer) => T): T[] {
  const fd = makeSocket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  try {
    const whole = message(SOCK_DIAG_BY_FAMILY, NLM.REQUEST | NLM.DUMP, request);
    addon.syscall(NR.sendto, fd, whole, whole.length, 0, 0, 0);
    const found: T[] = [];
    const buffer = Buffer.alloc(REPLY_SIZE);
    for (;;) {
      const length = Number(addon.syscall(NR.recvfrom, fd, buffer, buffer.length, 0, 0, 0));
      if (parseReply(buffer.subarray(0, length), (body) => found.push(parse(body)))) return found;
    }
  } finally {
    closeSync(fd);
  }
}

/** Passes the messages of one datagram on. Returns whether it was the last. */
function parseReply(reply: Buffer, pass: (message: Buffer) => void): boolean {
  for (let at = 0; at + NLMSGHDR <= reply.length; ) {
    const length = reply.readUInt32LE(at);
    const type = reply.readUInt16LE(at + 4);
    if (type === NLMSG_DONE) return true;
    if (type === NLMSG_ERROR) {
      const number = -reply.readInt32LE(at + NLMSGHDR);
      throw new Error(`sock_diag failed with errno ${number} (is the kernel's module for it there?)`);
    }
    pass(reply.subarray(at + NLMSGHDR, at + length));
    at += align(length);
  }
  return false;
}
