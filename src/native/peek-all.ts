/**
 * All messages that wait in a socket. MSG_PEEK shows the first, unless the socket peeks at an offset (SO_PEEK_OFF),
 * which moves on from message to message. To set it back to what the program has set falls to a process that outlives us.
 */
import { SO, SOL_SOCKET } from '../socket.js';
import { addon } from './addon.js';
import { peekBytes } from './inet.js';
import {
  getOption,
  MSG_CMSG_CLOEXEC,
  type Peeked,
  RIGHTS_SPACE,
  readPeeked,
  toldSpace,
  withoutDescriptors,
} from './sockets.js';

const NR = { recvfrom: 45, recvmsg: 47, setsockopt: 54, recvmmsg: 299 } as const;
const PEEK_NOW = 2 | 0x40; // MSG_PEEK | MSG_DONTWAIT
const MSG_OOB = 1;
const EAGAIN = 11;
const FLAGS = PEEK_NOW | 0x20; // MSG_TRUNC, by which TCP gives no bytes at all
/** Words of `struct mmsghdr`: `struct msghdr`, and the length. */
const MMSGHDR = 8;
const MSGHDR = 7;
/** Words of a call for `outlive`: number, then arguments. */
const CALL = 7;
/** How many messages recvmmsg(2) takes at once. */
export const BATCH = 1024;
/** Where no memory is, whoever we are. */
const NOWHERE = 16n;

/** What is set aside for a message, in bytes. */
export interface Room {
  readonly content: number;
  /** For the address of its sender. */
  readonly name: number;
  readonly control: number;
}

/** A message, as recvmsg(2) gives it. */
export interface Message {
  /** The bytes that fit. */
  readonly bytes: Uint8Array;
  /** Size of the message, which may be more. */
  readonly length: number;
  /** Address of its sender. */
  readonly name: Uint8Array;
  /** Room for control messages; `header` tells how much of it was used. */
  readonly control: Buffer;
  /** `struct msghdr` in words. */
  readonly header: BigUint64Array;
}

/**
 * Reads without consuming or waiting. An empty message that was peeked at before is left out by the kernel.
 * @param size bytes of the longest message
 * @param most how many messages there may be
 * @param descriptors receive duplicates of those that are on their way, too, with close-on-exec. A read from a
 *   stream ends behind a message that carries some.
 */
export function peekAll(fd: number, size: number, most: number, descriptors = false): Peeked[] {
  const room = { content: size, name: 0, control: toldSpace(fd) + (descriptors ? RIGHTS_SPACE : 0) };
  return peekMessages(fd, room, most, 0, MSG_CMSG_CLOEXEC).messages.map(
    ({ bytes, length, control, header }) => {
      const peeked = readPeeked(bytes, length, control, header);
      return descriptors ? peeked : withoutDescriptors(peeked);
    },
  );
}

/**
 * Reads without consuming or waiting.
 * @param most how many messages there may be: {@link BATCH} at most are read
 * @param start bytes of the messages before the first that is read
 * @param flags `MSG_*` beside those
 * @returns errno: why there is not one message, or 0; an error of the socket among them, which is taken by this
 */
export function peekMessages(
  fd: number,
  room: Room,
  most: number,
  start: number,
  flags = 0,
): { messages: Message[]; errno: number } {
  const count = Math.min(most, BATCH);
  const content = Buffer.allocUnsafeSlow(Math.max(1, count * room.content));
  const names = Buffer.alloc(Math.max(1, count * room.name));
  const control = Buffer.alloc(Math.max(1, count * room.control));
  const vectors = new BigUint64Array(count * 2);
  const headers = new BigUint64Array(count * MMSGHDR);
  const [from, nameAt, controlAt, vectorAt] = [
    addon.address(content),
    addon.address(names),
    addon.address(control),
    addon.address(vectors),
  ];
  for (let i = 0; i < count; i++) {
    vectors.set([from + BigInt(i * room.content), BigInt(room.content)], i * 2);
    const header = [
      ...[room.name === 0 ? 0n : nameAt + BigInt(i * room.name), BigInt(room.name)],
      ...[vectorAt + BigInt(i * 16), 1n],
      ...[controlAt + BigInt(i * room.control), BigInt(room.control), 0n],
    ];
    headers.set(header, i * MMSGHDR);
  }
  const call = [NR.recvmmsg, addon.address(headers), BigInt(count), BigInt(FLAGS | flags)] as const;
  const [offset, result] = atOffsets(fd, [{ offset: start, call }], [headers, vectors]);
  // Without an offset the first message would have been seen again and again.
  const received = offset! < 0 ? offset! : result!;
  const messages = Array.from({ length: Math.max(0, received) }, (_, i): Message => {
    const header = headers.subarray(i * MMSGHDR, i * MMSGHDR + MSGHDR);
    const length = Number(headers[i * MMSGHDR + MSGHDR]! & 0xffff_ffffn);
    const part = (of: Buffer, size: number, used: number) => of.subarray(i * size, i * size + used);
    return {
      bytes: Uint8Array.from(part(content, room.content, Math.min(length, room.content))),
      length,
      name: Uint8Array.from(part(names, room.name, Math.min(Number(header[1]! & 0xffff_ffffn), room.name))),
      control: part(control, room.control, room.control),
      header,
    };
  });
  return { messages, errno: received < 0 ? -received : 0 };
}

/** SO_PEEK_OFF: where the program itself peeks; -1: at the front. */
export function peekOffset(fd: number): number {
  const value = getOption(fd, SOL_SOCKET, SO.PEEK_OFF, 4);
  return value ? Buffer.from(value).readInt32LE(0) : -1;
}

/** recv(2) with MSG_PEEK of the first bytes of a stream, which are known to be there, wherever the program peeks. */
export function peekStream(fd: number, size: number): Uint8Array {
  if (peekOffset(fd) < 0) return peekBytes(fd, size);
  const buffer = Buffer.allocUnsafeSlow(size);
  const call = [NR.recvfrom, addon.address(buffer), BigInt(size), BigInt(PEEK_NOW), 0n, 0n] as const;
  const [offset, result] = atOffsets(fd, [{ offset: 0, call }], [buffer]);
  const got = Math.min(offset!, result!);
  if (got < 0) throw new Error(`a look at ${size} bytes fails with errno ${-got}`);
  return Uint8Array.from(buffer.subarray(0, result!));
}

/**
 * The same from an offset on: what one read gives, which may be nothing.
 * @returns `null` where the socket knows no offset: TCP does since Linux 6.9
 */
export function peekStreamAt(fd: number, offset: number, size: number): Uint8Array | null {
  const buffer = Buffer.allocUnsafeSlow(Math.max(size, 1));
  const call = [NR.recvfrom, addon.address(buffer), BigInt(size), BigInt(PEEK_NOW), 0n, 0n] as const;
  if (peekOffset(fd) < 0 && !takesOffset(fd)) return null;
  const [set, result] = atOffsets(fd, [{ offset, call }], [buffer]);
  if (set! < 0) return null;
  if (result! < 0 && result !== -EAGAIN) throw new Error(`a look at a stream fails with errno ${-result!}`);
  return Uint8Array.from(buffer.subarray(0, Math.max(0, result!)));
}

/** Whether a socket knows SO_PEEK_OFF: setting it to what it is changes nothing. */
function takesOffset(fd: number): boolean {
  try {
    const same = new Uint8Array(Int32Array.of(-1).buffer);
    addon.syscall(NR.setsockopt, fd, SOL_SOCKET, SO.PEEK_OFF, same, same.length);
    return true;
  } catch {
    return false;
  }
}

/** recv(2) with MSG_OOB and MSG_PEEK: the urgent byte; nothing where none can be taken so. */
export function peekUrgent(fd: number): Uint8Array {
  const buffer = new Uint8Array(1);
  try {
    return buffer.subarray(0, Number(addon.syscall(NR.recvfrom, fd, buffer, 1, PEEK_NOW | MSG_OOB, 0, 0)));
  } catch {
    return buffer.subarray(0, 0);
  }
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
  const results = atOffsets(fd, calls, [...memory, room]);
  // EFAULT: the message is the first.
  return reads.map((_, i) => Math.max(0, results[i * 2 + 1]!));
}

/**
 * Calls on a socket, each at an offset: results of setting that and of the call, in turn.
 * @param memory what the calls refer to by address and nobody looks at afterwards
 */
function atOffsets(
  fd: number,
  calls: readonly { offset: number; call: readonly [number, ...bigint[]] }[],
  memory: readonly (Uint8Array | BigUint64Array)[],
): number[] {
  const offsets = new Uint8Array(
    Int32Array.from([...calls.map(({ offset }) => offset), peekOffset(fd)]).buffer,
  );
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
  addon.outlive(made, offsets, ...memory);
  const results = Array.from({ length: made.length / CALL }, (_, i) => Number(made[i * CALL]!));
  const back = results.pop()!;
  if (back < 0) throw new Error(`SO_PEEK_OFF cannot be set back: errno ${-back}`);
  return results;
}
