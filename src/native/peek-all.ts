/**
 * All messages that wait in a socket. MSG_PEEK shows the first, unless the socket peeks at an offset (SO_PEEK_OFF),
 * which moves on from message to message. To set it back falls to a process that outlives us.
 */
import { SO, SOL_SOCKET } from '../socket.js';
import { addon } from './addon.js';
import { CREDENTIALS_SPACE, type Peeked, RIGHTS_SPACE, readPeeked } from './sockets.js';

const NR = { recvmsg: 47, setsockopt: 54, recvmmsg: 299 } as const;
const FLAGS = 2 | 0x40 | 0x20; // MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC
const MSG_CMSG_CLOEXEC = 0x4000_0000;
/** Words of `struct mmsghdr`: `struct msghdr`, and the length. */
const MMSGHDR = 8;
const MSGHDR = 7;
/** Words of a call for `outlive`: number, then arguments. */
const CALL = 7;
/** How many messages recvmmsg(2) takes at once. */
const BATCH = 1024;
/** Where no memory is, whoever we are. */
const NOWHERE = 16n;

/**
 * Reads without consuming or waiting. An empty message that was peeked at before is left out by the kernel.
 * @param size bytes of the longest message
 * @param most how many messages there may be
 * @param descriptors receive duplicates of those that are on their way, too, with close-on-exec. A read from a
 *   stream ends behind a message that carries some.
 */
export function peekAll(fd: number, size: number, most: number, descriptors = false): Peeked[] {
  const count = Math.min(most, BATCH);
  const space = descriptors ? RIGHTS_SPACE : CREDENTIALS_SPACE;
  const content = Buffer.allocUnsafeSlow(Math.max(1, count * size));
  const control = Buffer.alloc(count * space);
  const vectors = new BigUint64Array(count * 2);
  const headers = new BigUint64Array(count * MMSGHDR);
  const [from, controlAt, vectorAt] = [
    addon.address(content),
    addon.address(control),
    addon.address(vectors),
  ];
  for (let i = 0; i < count; i++) {
    vectors.set([from + BigInt(i * size), BigInt(size)], i * 2);
    const room = [controlAt + BigInt(i * space), BigInt(space)];
    headers.set([0n, 0n, vectorAt + BigInt(i * 16), 1n, ...room, 0n] as bigint[], i * MMSGHDR);
  }
  const received = peekFromStart(fd, headers, count, FLAGS | (descriptors ? MSG_CMSG_CLOEXEC : 0));
  return Array.from({ length: received }, (_, i) => {
    const header = headers.subarray(i * MMSGHDR, i * MMSGHDR + MSGHDR);
    const length = Number(headers[i * MMSGHDR + MSGHDR]! & 0xffff_ffffn);
    const bytes = Uint8Array.from(content.subarray(i * size, i * size + Math.min(length, size)));
    const own = control.subarray(i * space, (i + 1) * space);
    return readPeeked(bytes, length, own, header);
  });
}

/** Lets the socket peek at an offset for as long as it takes. Returns how many messages there are. */
function peekFromStart(fd: number, headers: BigUint64Array, count: number, flags: number): number {
  const [, received] = atOffsets(fd, [
    { offset: 0, call: [NR.recvmmsg, addon.address(headers), BigInt(count), BigInt(flags)] },
  ]);
  return Math.max(0, received!);
}

/**
 * Where in a stream the message begins with which a read ends. The kernel copies each message whole or not at all:
 * with nowhere to put the last byte, what comes before that message is all that is read.
 * @param reads offset of each in the stream, and its bytes
 * @returns for each, the bytes before that message
 */
export function lastBeginnings(fd: number, reads: readonly { offset: number; length: number }[]): number[] {
  const room = Buffer.allocUnsafeSlow(Math.max(1, ...reads.map(({ length }) => length)));
  const memory: BigUint64Array[] = [];
  const calls = reads.map(({ offset, length }) => {
    const vectors = BigUint64Array.of(addon.address(room), BigInt(length - 1), NOWHERE, 1n);
    const header = BigUint64Array.of(0n, 0n, addon.address(vectors), 2n, 0n, 0n, 0n);
    memory.push(vectors, header);
    return { offset, call: [NR.recvmsg, addon.address(header), BigInt(FLAGS)] as const };
  });
  const results = atOffsets(fd, calls);
  // It is needed until here.
  memory.length = 0;
  // EFAULT: the message is the first.
  return reads.map((_, i) => Math.max(0, results[i * 2 + 1]!));
}

/** Calls on a socket, each at an offset: results of setting that and of the call, in turn; at last of setting it back. */
function atOffsets(
  fd: number,
  calls: readonly { offset: number; call: readonly [number, ...bigint[]] }[],
): number[] {
  const offsets = new Uint8Array(Int32Array.from([...calls.map(({ offset }) => offset), -1]).buffer);
  const at = addon.address(offsets);
  const setOffset = (index: number): bigint[] => [
    ...[BigInt(NR.setsockopt), BigInt(fd), BigInt(SOL_SOCKET), BigInt(SO.PEEK_OFF)],
    ...[at + BigInt(index * 4), 4n, 0n],
  ];
  const words = calls.flatMap(({ call: [number, ...parameters] }, i) => {
    const call = [BigInt(number), BigInt(fd), ...parameters];
    return [...setOffset(i), ...call, ...Array<bigint>(CALL - call.length).fill(0n)];
  });
  const made = BigInt64Array.from([...words, ...setOffset(calls.length)]);
  addon.outlive(made);
  return Array.from({ length: made.length / CALL }, (_, i) => Number(made[i * CALL]!));
}
