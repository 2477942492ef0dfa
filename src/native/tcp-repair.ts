/** TCP_REPAIR: what the kernel tells of a connection in repair mode. */
import { QUEUE, type REPAIR, TCP_OPTION } from '../tcp.js';
import { addon } from './addon.js';
import { getOption } from './sockets.js';
import { ioctl } from './syscalls.js';

/** Numbers of `asm/unistd_64.h`. */
const NR = { recvfrom: 45, setsockopt: 54 } as const;
const IPPROTO_TCP = 6;
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;
const SIOCOUTQNSD = 0x894b;
/**
 * The kernel copies segments whole, and the first may begin with what the peer has confirmed: at most as
 * much as one holds.
 */
const CONFIRMED = 1 << 20;

/** setsockopt(2) TCP_REPAIR. @throws EPERM without CAP_NET_ADMIN */
export function setRepair(fd: number, mode: (typeof REPAIR)[keyof typeof REPAIR]): void {
  setInteger(fd, TCP_OPTION.REPAIR, mode);
}

/** The sequence number behind the last byte of a queue. @throws EPERM outside of repair mode */
export function queueEnd(fd: number, queue: keyof typeof QUEUE): number {
  setInteger(fd, TCP_OPTION.REPAIR_QUEUE, QUEUE[queue]);
  return Buffer.from(getOption(fd, IPPROTO_TCP, TCP_OPTION.QUEUE_SEQ)!).readUInt32LE(0);
}

/** The last bytes of the queue that is sent; needs repair mode. */
export function peekSendQueue(fd: number, size: number): Uint8Array {
  if (size === 0) return new Uint8Array(0);
  setInteger(fd, TCP_OPTION.REPAIR_QUEUE, QUEUE.SEND);
  const buffer = new Uint8Array(size + CONFIRMED);
  const flags = MSG_PEEK | MSG_DONTWAIT;
  const got = Number(addon.syscall(NR.recvfrom, fd, buffer, buffer.length, flags, 0, 0));
  if (got < size) throw new Error(`a queue of ${size} bytes shows ${got}`);
  return buffer.slice(got - size, got);
}

/** SIOCOUTQNSD: bytes that were not sent yet, the end of the stream counted as one. */
export function unsentBytes(fd: number): number {
  const count = new Int32Array(1);
  ioctl(fd, SIOCOUTQNSD, new Uint8Array(count.buffer));
  return count[0]!;
}

function setInteger(fd: number, option: number, value: number): void {
  const bytes = new Uint8Array(Int32Array.of(value).buffer);
  addon.syscall(NR.setsockopt, fd, IPPROTO_TCP, option, bytes, bytes.length);
}
