/**
 * All messages that wait in a socket. MSG_PEEK shows the first, unless the socket peeks at an offset (SO_PEEK_OFF),
 * which moves on from message to message. To set it back falls to a process that outlives us.
 */
import { SO, SOL_SOCKET } from '../socket.js';
import { addon } from './addon.js';
import { CREDENTIALS_SPACE, type Peeked, readPeeked } from './sockets.js';

const NR = { setsockopt: 54, recvmmsg: 299 } as const;
const FLAGS = 2 | 0x40 | 0x20; // MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC
/** Words of `struct mmsghdr`: `struct msghdr`, and the length. */
const MMSGHDR = 8;
const MSGHDR = 7;
/** How many messages recvmmsg(2) takes at once. */
const BATCH = 1024;

/**
 * Reads without consuming, waiting, or receiving descriptors. An empty message that was peeked at before is left out
 * by the kernel.
 * @param size bytes of the longest message
 * @param most how many messages there may be
 */
export function peekAll(fd: number, size: number, most: number): Peeked[] {
  const count = Math.min(most, BATCH);
  const content = Buffer.allocUnsafeSlow(Math.max(1, count * size));
  const control = Buffer.alloc(count * CREDENTIALS_SPACE);
  const vectors = new BigUint64Array(count * 2);
  const headers = new BigUint64Array(count * MMSGHDR);
  const [from, controlAt, vectorAt] = [
    addon.address(content),
    addon.address(control),
    addon.address(vectors),
  ];
  for (let i = 0; i < count; i++) {
    vectors.set([from + BigInt(i * size), BigInt(size)], i * 2);
    const space = BigInt(CREDENTIALS_SPACE);
    const header = [0n, 0n, vectorAt + BigInt(i * 16), 1n, controlAt + BigInt(i) * space, space, 0n];
    headers.set(header, i * MMSGHDR);
  }
  const received = peekFromStart(fd, headers, count);
  return Array.from({ length: received }, (_, i) => {
    const header = headers.subarray(i * MMSGHDR, i * MMSGHDR + MSGHDR);
    const length = Number(headers[i * MMSGHDR + MSGHDR]! & 0xffff_ffffn);
    const bytes = Uint8Array.from(content.subarray(i * size, i * size + Math.min(length, size)));
    const own = control.subarray(i * CREDENTIALS_SPACE, (i + 1) * CREDENTIALS_SPACE);
    return readPeeked(bytes, length, own, header);
  });
}

/** Lets the socket peek at an offset for as long as it takes. Returns how many messages there are. */
function peekFromStart(fd: number, headers: BigUint64Array, count: number): number {
  const offsets = BigUint64Array.of(0n, 0xffff_ffff_ffff_ffffn);
  const at = addon.address(offsets);
  const setOffset = (address: bigint): bigint[] => [
    ...[BigInt(NR.setsockopt), BigInt(fd), BigInt(SOL_SOCKET), BigInt(SO.PEEK_OFF)],
    ...[address, 4n, 0n],
  ];
  const calls = BigInt64Array.from([
    ...setOffset(at),
    ...[BigInt(NR.recvmmsg), BigInt(fd), addon.address(headers), BigInt(count), BigInt(FLAGS), 0n, 0n],
    ...setOffset(at + 8n),
  ]);
  addon.outlive(calls);
  return Math.max(0, Number(calls[7]!));
}
