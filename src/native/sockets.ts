/** System calls on sockets that Node.js does not offer. None of them changes the socket. */
import { AF_UNIX, SO, SOL_SOCKET, Sock } from '../socket.js';
import { addon } from './addon.js';

/** Numbers of `asm/unistd_64.h`. */
const NR = { poll: 7, socket: 41, sendto: 44, recvmsg: 47, socketpair: 53, getsockopt: 55 } as const;

const MSG_PEEK = 2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
/** Set where control messages did not fit. */
const MSG_CTRUNC = 8;
const SCM_CREDENTIALS = 2;
/** Room for the credentials of a sender, and nothing else: `CMSG_SPACE(sizeof (struct ucred))`. */
export const CREDENTIALS_SPACE = 32;

/** Events of poll(2). */
export const Poll = { IN: 1, PRI: 2, OUT: 4, ERR: 8, HUP: 0x10, RDHUP: 0x2000 } as const;

/** socket(2), with close-on-exec. */
export function makeSocket(family: number, type: number, protocol = 0): number {
  return Number(addon.syscall(NR.socket, family, type | Sock.CLOEXEC, protocol));
}

/** socketpair(2) of Unix domain sockets, with close-on-exec. */
export function makeSocketPair(type: number): [number, number] {
  const fds = new Int32Array(2);
  addon.syscall(NR.socketpair, AF_UNIX, type | Sock.CLOEXEC, 0, new Uint8Array(fds.buffer));
  return [fds[0]!, fds[1]!];
}

/** send(2) without waiting. */
export function sendNow(fd: number, bytes: Uint8Array): void {
  addon.syscall(NR.sendto, fd, bytes, bytes.length, MSG_DONTWAIT, 0, 0);
}

/** Longest value of an option that is asked for, in bytes. */
const LONGEST = 256;
/** Used again and again: a process with many connections has very many options. */
const room = new Uint8Array(LONGEST);
const lengths = new Uint32Array(1);
const lengthBytes = new Uint8Array(lengths.buffer);

/**
 * getsockopt(2).
 * @param request how many bytes of value there may be, or what the kernel looks at and changes
 * @returns the value; `null` where the socket does not know the option
 */
export function getOption(
  fd: number,
  level: number,
  option: number,
  request: number | Uint8Array = LONGEST,
): Uint8Array | null {
  const value = typeof request === 'number' ? room.subarray(0, request) : request;
  lengths[0] = value.length;
  try {
    addon.syscall(NR.getsockopt, fd, level, option, value, lengthBytes);
    return value.slice(0, lengths[0]!);
  } catch {
    return null;
  }
}

/** An option at SOL_SOCKET that all sockets have, and that is an int. */
export function integerOption(fd: number, option: number): number {
  return Buffer.from(getOption(fd, SOL_SOCKET, option, 4)!).readInt32LE(0);
}

/** Bytes of an instruction of a classic filter: `struct sock_filter`. */
export const FILTER_INSTRUCTION = 8;

/**
 * SO_GET_FILTER: the program of SO_ATTACH_FILTER that decides what a socket receives.
 * @returns its instructions; `null` where there is none
 * @throws EACCES for one in eBPF (SO_ATTACH_BPF), which cannot be read
 */
export function socketFilter(fd: number): Uint8Array | null {
  // The length is in instructions, both ways.
  const length = Uint32Array.of(0);
  const ask = (memory: Uint8Array | number): void => {
    addon.syscall(NR.getsockopt, fd, SOL_SOCKET, SO.GET_FILTER, memory, new Uint8Array(length.buffer));
  };
  ask(0);
  if (length[0] === 0) return null;
  const program = new Uint8Array(length[0]! * FILTER_INSTRUCTION);
  ask(program);
  return program;
}

/** poll(2) without waiting: all events that stand. */
export function pollNow(fd: number): number {
  const pollfd = new DataView(new ArrayBuffer(8));
  pollfd.setInt32(0, fd, true);
  pollfd.setInt16(4, Poll.IN | Poll.PRI | Poll.OUT | Poll.RDHUP, true);
  addon.syscall(NR.poll, new Uint8Array(pollfd.buffer), 1, 0);
  return pollfd.getUint16(6, true);
}

/** What a look at the front of a socket's queue has shown. */
export interface Peeked {
  /** The bytes that fit. */
  readonly bytes: Uint8Array;
  /** Size of the message, which may be more. */
  readonly length: number;
  /** `struct ucred` of the sender: pid, uid, gid; `null` without SO_PASSCRED. */
  readonly credentials: readonly [number, number, number] | null;
  /** It bears what was not asked for, for instance descriptors. */
  readonly more: boolean;
}

/**
 * recvmsg(2) with MSG_PEEK: reads without consuming, waiting, or receiving descriptors.
 * @throws EAGAIN where there is nothing
 */
export function peek(fd: number, size: number, credentials: boolean): Peeked {
  const buffer = new Uint8Array(Math.max(size, 1));
  const control = Buffer.alloc(CREDENTIALS_SPACE);
  const vector = BigUint64Array.of(addon.address(buffer), BigInt(size));
  const space = credentials ? BigInt(control.length) : 0n;
  const header = BigUint64Array.of(
    ...[0n, 0n, addon.address(vector), 1n],
    ...[credentials ? addon.address(control) : 0n, space, 0n],
  );
  const message = new Uint8Array(header.buffer); // struct msghdr
  const length = Number(addon.syscall(NR.recvmsg, fd, message, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC));
  return readPeeked(buffer.subarray(0, Math.min(length, size)), length, control, header);
}

/** What recvmsg(2) has left behind. @param header `struct msghdr` in words */
export function readPeeked(
  bytes: Uint8Array,
  length: number,
  control: Buffer,
  header: BigUint64Array,
): Peeked {
  const has = header[5]! > 0n && control.readInt32LE(12) === SCM_CREDENTIALS;
  return {
    bytes,
    length,
    credentials: has ? [control.readInt32LE(16), control.readUInt32LE(20), control.readUInt32LE(24)] : null,
    more: (Number(header[6]!) & MSG_CTRUNC) !== 0,
  };
}
