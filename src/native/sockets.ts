/** System calls on sockets that Node.js does not offer. But for those that send, none of them changes the socket. */
import { closeSync, readFileSync } from 'node:fs';
import { AF_UNIX, SO, SOL_SOCKET, Sock } from '../socket.js';
import { addon } from './addon.js';

/** Numbers of `asm/unistd_64.h`. */
const NR = {
  poll: 7,
  socket: 41,
  sendto: 44,
  sendmsg: 46,
  recvmsg: 47,
  socketpair: 53,
  getsockopt: 55,
} as const;

/** Descriptors that are received close when another program is executed. */
export const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_PEEK = 2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
/** Set where control messages did not fit. */
const MSG_CTRUNC = 8;
/** Types of control messages at SOL_SOCKET. */
const SCM = { RIGHTS: 1, CREDENTIALS: 2, SECURITY: 3, PIDFD: 4, INQ: SO.INQ } as const;
/** `sizeof (struct cmsghdr)`: length of header and data, level, type. Each control message begins at a word. */
const CMSGHDR = 16;
/** The most descriptors that a message can carry; `SCM_MAX_FD` of the kernel. */
const MOST_DESCRIPTORS = 253;
/** Room for the credentials of a sender: `CMSG_SPACE(sizeof (struct ucred))`. */
const CREDENTIALS_SPACE = 32;
/** Room for an int: a pidfd of a sender, or how much there is to be read. */
const INT_SPACE = CMSGHDR + 8;
/** Room for descriptors beside them. */
export const RIGHTS_SPACE = CMSGHDR + (MOST_DESCRIPTORS + 1) * 4;

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

/** sendmsg(2) of bytes with a descriptor (SCM_RIGHTS); how many of them went. */
export function sendDescriptor(socket: number, bytes: Uint8Array, fd: number): number {
  const control = Buffer.alloc(CMSGHDR + 8);
  control.writeBigUInt64LE(BigInt(CMSGHDR + 4), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM.RIGHTS, 12);
  control.writeInt32LE(fd, CMSGHDR);
  const vector = BigUint64Array.of(addon.address(bytes), BigInt(bytes.length));
  const header = BigUint64Array.of(
    ...[0n, 0n, addon.address(vector), 1n],
    ...[addon.address(control), BigInt(control.length), 0n],
  );
  // The call does not look at the last arguments, which are there lest they be collected.
  const referred = [new Uint8Array(vector.buffer), control, bytes];
  return Number(addon.syscall(NR.sendmsg, socket, new Uint8Array(header.buffer), 0, ...referred));
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

/** SO_MEMINFO: memory, in bytes, that the options of a socket take: keys, filter, and what is like them. */
export function optionMemory(fd: number): number {
  const SK_MEMINFO_OPTMEM = 6;
  return Buffer.from(getOption(fd, SOL_SOCKET, SO.MEMINFO)!).readUInt32LE(SK_MEMINFO_OPTMEM * 4);
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
  /** The id by which a pidfd of the sender tells it; -1 where it has ended; `null` without SO_PASSPIDFD. */
  readonly sender: number | null;
  /** The program is told how much there is to be read (SO_INQ, which the kernel does not tell otherwise). */
  readonly inq: boolean;
  /** It bears what was not asked for, for instance a label, or descriptors where there was no room for any. */
  readonly more: boolean;
  /** Duplicates of the descriptors that it carries (SCM_RIGHTS), which whoever has given room for them closes. */
  readonly descriptors: readonly number[];
}

/** What options make a read tell beside the bytes. Of a label, only that there is one is of interest. */
const TOLD = [
  [SO.PASSCRED, CREDENTIALS_SPACE],
  [SO.PASSPIDFD, INT_SPACE],
  [SO.PASSSEC, CMSGHDR],
] as const;

/** Room for what a read from a socket tells with its options. */
export function toldSpace(fd: number): number {
  const isSet = (option: number): boolean =>
    getOption(fd, SOL_SOCKET, option, 4)?.some((byte) => byte !== 0) ?? false;
  // What SO_INQ makes it tell comes first, and the option cannot be asked for.
  return TOLD.reduce((sum, [option, space]) => sum + (isSet(option) ? space : 0), INT_SPACE);
}

/**
 * recvmsg(2) with MSG_PEEK: reads without consuming, waiting, or receiving descriptors.
 * @throws EAGAIN where there is nothing
 */
export function peek(fd: number, size: number): Peeked {
  const buffer = new Uint8Array(Math.max(size, 1));
  const control = Buffer.alloc(toldSpace(fd));
  const vector = BigUint64Array.of(addon.address(buffer), BigInt(size));
  const header = BigUint64Array.of(
    ...[0n, 0n, addon.address(vector), 1n],
    ...[addon.address(control), BigInt(control.length), 0n],
  );
  const message = new Uint8Array(header.buffer); // struct msghdr
  const flags = MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC;
  // The call does not look at the last argument, which is there lest it be collected: nothing else refers to it.
  const length = Number(addon.syscall(NR.recvmsg, fd, message, flags, new Uint8Array(vector.buffer)));
  return withoutDescriptors(readPeeked(buffer.subarray(0, Math.min(length, size)), length, control, header));
}

/** Closes descriptors that have come by surprise: the room for what options tell has taken them. */
export function withoutDescriptors(peeked: Peeked): Peeked {
  for (const descriptor of peeked.descriptors) closeSync(descriptor);
  return { ...peeked, more: peeked.more || peeked.descriptors.length > 0, descriptors: [] };
}

/** What recvmsg(2) has left behind. @param header `struct msghdr` in words */
export function readPeeked(
  bytes: Uint8Array,
  length: number,
  control: Buffer,
  header: BigUint64Array,
): Peeked {
  let credentials: Peeked['credentials'] = null;
  let sender: number | null = null;
  let inq = false;
  let more = (Number(header[6]!) & MSG_CTRUNC) !== 0;
  const descriptors: number[] = [];
  for (const { type, data } of controlMessages(control.subarray(0, Number(header[5]!)))) {
    if (type === SCM.CREDENTIALS) {
      credentials = [data.readInt32LE(0), data.readUInt32LE(4), data.readUInt32LE(8)];
    } else if (type === SCM.RIGHTS) {
      for (let at = 0; at + 4 <= data.length; at += 4) descriptors.push(data.readInt32LE(at));
    } else if (type === SCM.PIDFD) {
      // An errno where there is none, or no number for it.
      const pidfd = data.length < 4 ? -1 : data.readInt32LE(0);
      if (pidfd >= 0) sender = takeProcessId(pidfd);
      else more = true;
    } else if (type === SCM.INQ) inq = true;
    else if (type === SCM.SECURITY) more = true;
  }
  return { bytes, length, credentials, sender, inq, more, descriptors };
}

/** The id of the process of a pidfd, which is closed; -1 where it has ended, 0 where it has none here. */
function takeProcessId(pidfd: number): number {
  try {
    return Number(/^Pid:\t(-?\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, 'utf8'))![1]);
  } finally {
    closeSync(pidfd);
  }
}

/** Those at SOL_SOCKET, each `struct cmsghdr` and data. */
function controlMessages(control: Buffer): { type: number; data: Buffer }[] {
  const found: { type: number; data: Buffer }[] = [];
  for (let at = 0; at + CMSGHDR <= control.length; ) {
    const size = Number(control.readBigUInt64LE(at));
    if (size < CMSGHDR) break;
    if (control.readInt32LE(at + 8) === SOL_SOCKET) {
      found.push({ type: control.readInt32LE(at + 12), data: control.subarray(at + CMSGHDR, at + size) });
    }
    at += Math.ceil(size / 8) * 8;
  }
  return found;
}
