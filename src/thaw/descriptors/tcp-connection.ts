/**
 * TCP connections that are kept, made again in repair mode (TCP_REPAIR): no segment leaves, and a thaw that
 * fails closes them without a word. What repair mode cannot set, the end of a stream, is brought about.
 */
import { O } from '../../fcntl.js';
import { addressText, isIpv4, putTogether, SO, SO_FORCE, SOL, takeApart } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { TcpConnection } from '../../snapshot/tcp-connection.js';
import { advance, isEnded, isEndedByPeer, QUEUE, REPAIR, TCP_OPTION, TCPOPT } from '../../tcp.js';
import type { Arena } from '../arena.js';
import { call, type Extra, show, tolerate } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, setFlags } from './calls.js';
import {
  compareHost,
  compareName,
  isLock,
  isReuse,
  makeSocket,
  setInteger,
  setOption,
  setOptions,
  toAddress,
} from './socket-calls.js';
import { setKeys } from './tcp-keys.js';
import { awaitState, type Segment, sendSegment, testState } from './tcp-segment.js';

type Inet = OpenFileOf<'inet'>;
/** A socket with a connection. */
export type Connected = Inet & { connection: TcpConnection };

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SHUT_RD = 0;
const SHUT_WR = 1;
const FIONREAD = 0x541b;
const SIOCOUTQ = 0x5411;
const SIOCOUTQNSD = 0x894b;
/** What the kernel takes in one piece of bytes that were received. */
const RECEIVED_AT_A_TIME = 32768;
/** The largest segment before the peer has answered, where the program has not set another. */
const UNSET_SEGMENT = 536;
/** The most that TCP_MAXSEG takes. */
const LARGEST_LIMIT = 0x7fff;
const IP_OPTIONS = 4;
/** What a time stamp takes of a segment, in bytes. */
const STAMP = 12;
/** Memory, in bytes, that queues take beside their content. */
const BESIDE = 1 << 18;

/** Whether a description is a connection that is kept. */
export function isConnected(file: Inet): file is Connected {
  return file.connection !== null;
}

/** `TCP connection 127.0.0.1:80 to 127.0.0.1:4242 (descriptor 5)`. */
export function connectionName({ local, peer }: TcpConnection, name: string): string {
  return `TCP connection ${addressText(local)} to ${addressText(peer)} (${name})`;
}

/** A socket in repair mode: bound only when the listening ones are, which want their ports to themselves. */
export function makeConnection(file: Connected, place: Place, bench: Bench): Op[] {
  const label = `cannot make the ${connectionName(file.connection, place.name)}`;
  return [
    ...bench.create(
      (closeOnExec) => makeSocket(file, O.NONBLOCK | (closeOnExec ? O.CLOEXEC : 0), { label }),
      place.at,
      place.closeOnExec,
    ),
    setRepair(place.at, 'ON', bench, { label }),
  ];
}

/** The address must be of this host: the test for `--check`. */
export function testConnection(file: Connected, name: string, bench: Bench): Op[] {
  const cell = bench.arena.cell();
  const label = `cannot make the ${connectionName(file.connection, name)}`;
  return [
    makeSocket(file, O.CLOEXEC, { label, result: cell }),
    setRepair(cell, 'ON', bench, { label }),
    ...bind(cell, file, name, bench),
    close(cell),
  ];
}

/** The connection as it was, still in repair mode; an attempt to connect: begun again, with the same number. */
export function restoreConnection(file: Connected, place: Place, bench: Bench): Op[] {
  const { arena } = bench;
  const { connection } = file;
  const fd = place.at;
  const label = `cannot restore the ${connectionName(connection, place.name)}`;
  const integer = (option: number, value: number) => setInteger(fd, SOL.TCP, option, value, arena, { label });
  const window = (values: readonly number[]) =>
    setOption(fd, SOL.TCP, TCP_OPTION.REPAIR_WINDOW, words(...values), arena, { label });
  const sequence = (queue: number, value: number) => [
    integer(TCP_OPTION.REPAIR_QUEUE, queue),
    integer(TCP_OPTION.QUEUE_SEQ, value | 0),
  ];
  // Last: it might not let through what brings about the end of a stream.
  const lock = { options: file.options.filter(isLock), filter: file.filter };
  const filter = setOptions(fd, lock, place.name, arena);
  const { ways, found } = bindAsChosen(fd, file, place.name, bench);
  const begin = [
    ...ways,
    ...sequence(QUEUE.SEND, connection.sendSequence),
    ...setKeys(fd, file, place.name, bench),
  ];
  if (connection.state === 'syn-sent') {
    return [
      ...begin,
      ...(connection.segment === UNSET_SEGMENT ? [] : [integer(TCP_OPTION.MAXSEG, connection.segment)]),
      setRepair(fd, 'OFF_SILENT', bench, { label }),
      toAddress('connect', fd, connection.peer, arena, { label, check: tolerate('EINPROGRESS') }),
      ...found,
      ...buffers(fd, connection, bench, { label }),
      ...filter,
      setFlags(fd, file.flags, { label }),
    ];
  }
  const { before, after } = sizeSegments(fd, file, bench, { label });
  return [
    ...begin,
    ...sequence(QUEUE.RECEIVE, connection.receiveSequence),
    ...before,
    toAddress('connect', fd, connection.peer, arena, {
      label: `${label}, which may be in use`,
    }),
    ...found,
    setOption(fd, SOL.TCP, TCP_OPTION.REPAIR_OPTIONS, agreed(connection), arena, { label }),
    ...after,
    integer(TCP_OPTION.TIMESTAMP, connection.timestamp | 0),
    ...room(fd, connection, bench, { label }),
    integer(TCP_OPTION.REPAIR_QUEUE, QUEUE.RECEIVE),
    ...fill(fd, connection.input, RECEIVED_AT_A_TIME, bench, { label }),
    integer(TCP_OPTION.REPAIR_QUEUE, QUEUE.SEND),
    ...fill(fd, connection.unconfirmed, connection.unconfirmed.length, bench, { label }),
    // The largest window that there was first: what comes in changes it otherwise. Nothing may be sent yet.
    window(
      connection.window.with(1, 0).with(4, advance(connection.receiveSequence, connection.input.length)),
    ),
    ...endStreams(fd, file, bench, { label }),
    window(connection.window),
    // Segments are no larger than half of the largest window.
    ...after,
    ...(connection.clamp > 0 ? [integer(TCP_OPTION.WINDOW_CLAMP, connection.clamp)] : []),
    ...buffers(fd, connection, bench, { label }),
    ...verify(fd, connection, bench, { label }),
    ...(connection.shutForReading
      ? [call('shutdown', [fd, SHUT_RD], { label, text: `shutdown(${fd}, SHUT_RD)` })]
      : []),
    ...filter,
    setFlags(fd, file.flags, { label }),
  ];
}

/** Out of repair mode: the peer is asked for its window, and what was lost meanwhile is sent again. */
export function startConnection(file: Connected, place: Place, bench: Bench): Op[] {
  const label = `cannot go on with the ${connectionName(file.connection, place.name)}`;
  return [
    ...(file.connection.state === 'syn-sent' ? [] : [setRepair(place.at, 'OFF', bench, { label })]),
    // Repair mode has an opinion of its own about it.
    ...setOptions(place.at, { options: file.options.filter(isReuse), filter: null }, place.name, bench.arena),
  ];
}

/** Options, and the address that the connection has here. */
function bind(fd: Operand, file: Connected, name: string, { arena }: Bench): Op[] {
  return [...setOwn(fd, file, name, arena), bindTo(fd, file.connection.local, name, arena)];
}

function setOwn(fd: Operand, file: Connected, name: string, arena: Arena): Op[] {
  const options = file.options.filter((option) => !isReuse(option) && !isLock(option));
  return setOptions(fd, { options, filter: null }, name, arena);
}

function bindTo(fd: Operand, local: Uint8Array, name: string, arena: Arena): Op {
  return toAddress('bind', fd, local, arena, { label: `cannot bind ${addressText(local)} (${name})` });
}

/**
 * The same where connect(2) had chosen the address. bind(2) to one of IPv6 would change what IPV6_V6ONLY tells. So another
 * connection in repair mode, which is closed without a word, shows whether the way leads from that address here, too.
 * @returns ways: to be bound; found: after connect(2), whether it has its address
 */
function bindAsChosen(fd: number, file: Connected, name: string, bench: Bench): { ways: Op[]; found: Op[] } {
  const { arena } = bench;
  const { local, peer } = file.connection;
  if (!file.chosen.includes('address')) return { ways: bind(fd, file, name, bench), found: [] };
  const label = `cannot find the address of the ${connectionName(file.connection, name)} again`;
  const trial = arena.cell();
  const [otherwise, done] = [bench.mark(), bench.mark()];
  const { host, port } = takeApart(local);
  const ways: Op[] = [
    ...setOwn(fd, file, name, arena),
    makeSocket(file, O.CLOEXEC, { label, result: trial }),
    setRepair(trial, 'ON', bench, { label }),
    ...setOwn(trial, file, name, arena),
    toAddress('connect', trial, peer, arena, { label, check: { kind: 'ok', jump: otherwise } }),
    ...compareHost(trial, local, arena, { label }, otherwise),
    close(trial),
    bindTo(fd, putTogether(new Uint8Array(host.length), port), name, arena),
    { op: 'jump', to: done },
    { op: 'mark', name: otherwise },
    close(trial),
    bindTo(fd, local, name, arena),
    { op: 'mark', name: done },
  ];
  return { ways, found: compareName(fd, local, arena, { label }) };
}

function setRepair(fd: Operand, mode: keyof typeof REPAIR, { arena }: Bench, extra: Extra): Op {
  const label = `${extra.label}, which takes CAP_NET_ADMIN`;
  return setInteger(fd, SOL.TCP, TCP_OPTION.REPAIR, REPAIR[mode], arena, { ...extra, label });
}

/** `struct tcp_repair_opt[]`: what both sides agreed on when they connected. */
function agreed({ segment, scale, selective, stamped }: TcpConnection): Uint8Array {
  return words(
    ...[TCPOPT.MSS, segment],
    ...(scale ? [TCPOPT.WINDOW, (scale.receive << 16) | scale.send] : []),
    ...(selective ? [TCPOPT.SACK_PERM, 0] : []),
    ...(stamped ? [TCPOPT.TIMESTAMP, 0] : []),
  );
}

/**
 * The size of segments is worked out at connect(2), from what is agreed on only later. Setting IP_OPTIONS, even
 * to what they are, works it out anew; IPv6 has nothing like that, and an upper limit must do.
 */
function sizeSegments(
  fd: number,
  { connection, options }: Connected,
  { arena }: Bench,
  extra: Extra,
): { before: Op[]; after: Op[] } {
  if (isIpv4(connection.local)) {
    const value = options.find(({ level, option }) => level === SOL.IP && option === IP_OPTIONS)?.value;
    const after = [setOption(fd, SOL.IP, IP_OPTIONS, value ?? new Uint8Array(0), arena, extra)];
    return { before: [], after };
  }
  const limit = (size: number) => [setInteger(fd, SOL.TCP, TCP_OPTION.MAXSEG, size, arena, extra)];
  const size = connection.currentSegment + (connection.stamped ? STAMP : 0);
  return { before: limit(Math.min(size, LARGEST_LIMIT)), after: limit(0) };
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** Room for the queues, whatever their pieces look like. */
function room(fd: number, connection: TcpConnection, { arena }: Bench, extra: Extra): Op[] {
  const { input, unconfirmed, unsent, sendBuffer, receiveBuffer } = connection;
  const force = (option: keyof typeof SO_FORCE, size: number) =>
    setInteger(fd, SOL.SOCKET, SO_FORCE[option], Math.min(size, 0x3fff_ffff), arena, extra);
  return [
    force(SO.SNDBUF, Math.max(sendBuffer, 2 * (unconfirmed.length + unsent.length) + BESIDE)),
    force(SO.RCVBUF, Math.max(receiveBuffer, 4 * input.length + BESIDE)),
  ];
}

/** Sizes of the buffers, and whether the kernel may go on changing them. */
function buffers(fd: number, connection: TcpConnection, { arena }: Bench, extra: Extra): Op[] {
  const { sendBuffer, receiveBuffer, locks } = connection;
  const force = (option: keyof typeof SO_FORCE, size: number) =>
    setInteger(fd, SOL.SOCKET, SO_FORCE[option], Math.ceil(size / 2), arena, extra);
  return [
    force(SO.SNDBUF, sendBuffer),
    force(SO.RCVBUF, receiveBuffer),
    setInteger(fd, SOL.SOCKET, SO.BUF_LOCK, locks, arena, { ...extra, check: tolerate('ENOPROTOOPT') }),
  ];
}

/** Bytes into a queue, in pieces. */
function fill(fd: number, bytes: Uint8Array, size: number, { arena }: Bench, extra: Extra): Op[] {
  return Array.from({ length: bytes.length === 0 ? 0 : Math.ceil(bytes.length / size) }, (_, i) => {
    const piece = bytes.subarray(i * size, (i + 1) * size);
    return call('sendto', [fd, arena.bytes(piece), piece.length, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0], {
      ...extra,
      check: { kind: 'equal', expected: piece.length },
      reason: `there is no room for ${bytes.length} bytes in a queue`,
      text: `sendto(${fd}, [${piece.length} bytes], ${piece.length}, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)`,
    });
  });
}

/**
 * What waits to be sent, and the ends of both streams. While the send window is still 0, and the hold in
 * place, nothing leaves outside of repair mode either.
 */
function endStreams(fd: number, { connection, keys }: Connected, bench: Bench, extra: Extra): Op[] {
  const { state, unsent, endUnsent } = connection;
  const end = isEnded(state)
    ? [call('shutdown', [fd, SHUT_WR], { ...extra, text: `shutdown(${fd}, SHUT_WR)` })]
    : [];
  const told = segmentOf(connection);
  const peer = told ? sendSegment(connection, told, keys, bench, extra) : [];
  const first = state === 'last-ack' ? [...peer, ...awaitState(fd, 'close-wait', bench, extra)] : [];
  const last = state === 'last-ack' ? [] : peer;
  const waits = unsent.length > 0 || endUnsent;
  return [
    ...first,
    ...(waits
      ? [
          setRepair(fd, 'OFF_SILENT', bench, extra),
          ...fill(fd, unsent, unsent.length, bench, extra),
          ...(endUnsent ? end : []),
          setRepair(fd, 'ON', bench, extra),
        ]
      : []),
    ...(endUnsent ? [] : end),
    ...last,
    // Of many connections most are in the midst of their streams.
    ...(state === 'established' ? testState : awaitState)(fd, state, bench, extra),
  ];
}

/** What the peer had said beside bytes: that it has ended its stream, or has seen that we have ended ours. */
function segmentOf(connection: TcpConnection): Segment | null {
  const { state, sendSequence, receiveSequence, input, window, scale } = connection;
  const common = {
    sequence: advance(receiveSequence, input.length),
    confirmed: state === 'fin-wait-2' ? advance(sendSequence, 1) : sendSequence,
    window: Math.min(window[1] >>> (scale?.send ?? 0), 0xffff),
  };
  if (isEndedByPeer(state)) return { ...common, end: true };
  return state === 'fin-wait-2' ? { ...common, end: false } : null;
}

/** Looks whether all of it is as it was. */
function verify(fd: number, connection: TcpConnection, { scratch }: Bench, extra: Extra): Op[] {
  const { state, input, unconfirmed, unsent, endUnsent } = connection;
  const ended = isEnded(state) && state !== 'fin-wait-2';
  const expected = [
    { request: FIONREAD, name: 'FIONREAD', value: input.length },
    { request: SIOCOUTQ, name: 'SIOCOUTQ', value: unconfirmed.length + unsent.length + Number(ended) },
    { request: SIOCOUTQNSD, name: 'SIOCOUTQNSD', value: unsent.length + Number(endUnsent) },
  ];
  return expected.flatMap(({ request, name, value }) => [
    call('ioctl', [fd, request, scratch], { ...extra, text: `ioctl(${show(fd)}, ${name})` }),
    {
      op: 'test',
      address: scratch,
      width: 4,
      mask: 0xffff_ffffn,
      check: { kind: 'equal', expected: value },
      ...extra,
      reason: `its queues are not as they were (${name})`,
      text: `test ${name} == ${value}`,
    },
  ]);
}
