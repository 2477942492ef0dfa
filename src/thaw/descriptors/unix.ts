/** Unix domain sockets: made first, so that their ends can be placed; filled last, when nothing waits on them yet. */
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { SO, SOL_SOCKET } from '../../socket.js';
import { isAbstract } from '../../unix-name.js';
import { call, show, tolerate } from '../calls.js';
import type { Cell, Op, Operand } from '../program.js';
import type { Bench } from './bench.js';
import { close, duplicate, setFlags, settable } from './calls.js';
import type { KindPlanner, SocketPlace, Tools } from './planner.js';
import { attachFilter } from './socket-calls.js';
import { type Maker, madeBy, makerKey } from './unix-makers.js';
import { sendMessage } from './unix-messages.js';
import { bind, bindAbstract, makeSocket, otherOf } from './unix-names.js';
import { makeAccepted, makePair } from './unix-pair.js';

type Socket = OpenFileOf<'unix'>;

const INT = 4;
/** Bytes that a message takes in a socket beside its content, and more. */
const OVERHEAD = 1024;

/** Plans a socket that {@link makeSockets} has made. */
export const unix: KindPlanner<Socket> = {
  make: ({ flags }, place, { bench, sockets }) => {
    const label = `cannot make a socket (${place.name})`;
    bench.opened(place.at);
    return [
      duplicate(sockets.get(place.index)!.fd, place.at, place.closeOnExec, { label }),
      ...(settable(flags) ? [setFlags(place.at, flags, { label })] : []),
    ];
  },
  check: (socket, { name }, { bench }) => {
    if (!isAbstract(socket.name) || socket.accepted) return [];
    const fd = bench.arena.cell(-1n);
    const label = `cannot make a socket (${name})`;
    return [makeSocket(socket.type, fd, label), bind(bench, fd, socket.name, name), close(fd)];
  },
};

/** The numbers at which sockets stand while they are made. */
export function socketPlaces(bench: Bench): Map<number, SocketPlace> {
  const places = new Map<number, SocketPlace>();
  bench.table.files.forEach((file, index) => {
    if (file.kind !== 'unix') return;
    places.set(index, { fd: bench.temporary(), other: file.gone ? bench.temporary() : null });
  });
  return places;
}

/** Makes the sockets at temporary numbers, and connects those that are connected to each other. */
export function makeSockets({ bench, sockets }: Tools): Op[] {
  const { files } = bench.table;
  const pairs = new Map<string, { maker: Maker; ops: Op[] }>();
  const single = [...sockets].flatMap(([index, { fd, other }]): Op[] => {
    const file = files[index] as Socket;
    const { name } = bench.places[index]!;
    const label = `cannot make a socket (${name})`;
    const peer = otherOf(files, index);
    if (peer === null && other === null) {
      const cell = bench.arena.cell();
      bench.opened(fd);
      return [makeSocket(file.type, cell, label), duplicate(cell, fd, true, { label }), close(cell)];
    }
    if (peer !== null && peer < index) return [];
    const one: End = { file, fd };
    const two: End = {
      file: peer === null ? null : (files[peer] as Socket),
      fd: other ?? sockets.get(peer!)!.fd,
    };
    bench.opened(one.fd);
    bench.opened(two.fd);
    if (one.file?.accepted) return accept(one, two, name, bench);
    if (two.file?.accepted) return accept(two, one, name, bench);
    // One maker has made many, as a rule.
    const maker = file.peerCredentials;
    const group = pairs.get(makerKey(maker)) ?? { maker, ops: [] };
    pairs.set(makerKey(maker), group);
    group.ops.push(...makePair(bench, file.type, one.fd, two.fd, name));
    return [];
  });
  return [...single, ...[...pairs.values()].flatMap(({ maker, ops }) => madeBy(maker, ops, bench))];
}

/** An end of a connection; `null` where it is to be closed at last. */
interface End {
  readonly file: Socket | null;
  readonly fd: number;
}

/** @param one has its name from a listening socket, and tells who connected; the other tells who listened */
function accept(one: End, two: End, owner: string, bench: Bench): Op[] {
  const makers = [two.file?.peerCredentials ?? null, one.file!.peerCredentials] as const;
  return makeAccepted(bench, { ...one.file!, makers, accepted: one.fd, client: two.fd }, owner);
}

/** Sends what was in the sockets, closes ends that nobody has, sets options, and closes the temporary numbers. */
export function fillSockets(tools: Tools): Op[] {
  const { bench, sockets } = tools;
  const each = (plan: (file: Socket, place: SocketPlace, name: string, index: number) => Op[]): Op[] =>
    [...sockets].flatMap(([index, place]) =>
      plan(bench.table.files[index] as Socket, place, bench.places[index]!.name, index),
    );
  const pid = bench.arena.cell();
  return [
    ...(bench.table.files.some((file) => file.kind === 'unix' && file.senders.length > 0)
      ? [call('getpid', [], { result: pid })]
      : []),
    ...each((file, { fd, other }, name) => fill(file, fd, other ?? senderOf(file, tools), pid, name, bench)),
    ...each((file, { fd, other }, name) => (other === null ? [] : leave(file, fd, other, name, bench))),
    ...each((file, { fd }, name) => bindAbstract(file, fd, name, bench)),
    ...each((file, { fd }, name) => [...shut(file, fd, name), ...setOptions(file, fd, name, bench)]),
    ...each((_, { fd }) => {
      bench.closed(fd);
      return [close(fd)];
    }),
  ];
}

function senderOf({ peer }: Socket, { sockets }: Tools): number | null {
  return peer === null ? null : sockets.get(peer)!.fd;
}

/** @param pid holds the id that the process has now */
function fill(
  { content, passed, credentials, senders }: Socket,
  fd: number,
  from: number | null,
  pid: Cell,
  name: string,
  bench: Bench,
): Op[] {
  if (content.length === 0 || from === null) return [];
  const label = `cannot fill a socket (${name})`;
  const size = content.reduce((sum, part) => sum + part.length + OVERHEAD, 0);
  const carried = new Map(passed.map(({ message, files }) => [message, files]));
  return [
    // The kernel takes it twice. What the socket had is set later.
    ...enlarge(from, SO.SNDBUF, size, label, bench),
    ...(credentials ? [setInt(fd, SO.PASSCRED, 1, label, bench)] : []),
    ...content.flatMap((bytes, message) => {
      const reason = `its ${bytes.length} bytes are more than this user may send (net.core.wmem_max)`;
      // All descriptions have been made: what is on its way may be any of them, this socket too.
      const descriptors = (carried.get(message) ?? []).map((file) => bench.numberOf(file));
      const sender = senders[message] ? { pid, ...senders[message] } : null;
      return sendMessage(from, bytes, { descriptors, sender }, bench, { label, reason });
    }),
    ...(credentials ? [setInt(fd, SO.PASSCRED, 0, label, bench)] : []),
  ];
}

/** Closes the other end; with a byte in it that nobody has read, where this end is to be told of that. */
function leave({ gone }: Socket, fd: number, other: number, name: string, bench: Bench): Op[] {
  bench.closed(other);
  const label = `cannot make a socket (${name})`;
  const unread = { descriptors: [], sender: null };
  return [...(gone!.reset ? sendMessage(fd, Uint8Array.of(0), unread, bench, { label }) : []), close(other)];
}

function shut({ shutdown, gone, type }: Socket, fd: number, name: string): Op[] {
  if (shutdown === 0 || (gone && type !== 'datagram')) return [];
  const how = ['SHUT_RD', 'SHUT_WR', 'SHUT_RDWR'][shutdown - 1];
  return [
    call('shutdown', [fd, shutdown - 1], {
      label: `cannot shut down a socket (${name})`,
      // An unconnected one is shut down, and told so.
      check: tolerate('ENOTCONN'),
      text: `shutdown(${fd}, ${how})`,
    }),
  ];
}

function setOptions(
  { sendBuffer, receiveBuffer, bufferLocks, options, filter }: Socket,
  fd: number,
  name: string,
  bench: Bench,
): Op[] {
  const label = `cannot set the options of a socket (${name})`;
  return [
    ...setBuffer(fd, SO.SNDBUF, sendBuffer, label, bench),
    ...setBuffer(fd, SO.RCVBUF, receiveBuffer, label, bench),
    ...(bufferLocks === null ? [] : [setLocks(fd, bufferLocks, label, bench)]),
    // SO_LOCK_FILTER, which forbids another filter, is among the options.
    ...attachFilter(fd, filter, name, bench.arena),
    ...options.map(({ option, value }) => set(fd, option, bench.arena.bytes(value), value.length, { label })),
  ];
}

/** Sets a buffer to what getsockopt(2) told, and makes sure that it is. */
function setBuffer(fd: number, option: number, value: number, label: string, bench: Bench): Op[] {
  const { arena, scratch } = bench;
  const length = arena.bytes(Uint8Array.of(INT, 0, 0, 0));
  const which = option === SO.SNDBUF ? 'wmem_max' : 'rmem_max';
  return [
    // The kernel doubles what it is given.
    ...enlarge(fd, option, Math.floor(value / 2), label, bench),
    call('getsockopt', [fd, SOL_SOCKET, option, scratch, length], {
      label,
      text: `getsockopt(${fd}, SOL_SOCKET, ${nameOf(option)})`,
    }),
    {
      op: 'test',
      address: scratch,
      width: INT,
      mask: 0xffff_ffffn,
      check: { kind: 'equal', expected: value },
      label,
      reason: `a buffer of ${value} bytes is more than this user may have (net.core.${which})`,
      text: `test ${nameOf(option)} == ${value}`,
    },
  ];
}

/** Which sizes count as set by the program: here all are. An older kernel does not tell. */
function setLocks(fd: number, locks: number, label: string, bench: Bench): Op {
  return { ...setInt(fd, SO.BUF_LOCK, locks, label, bench), check: tolerate('ENOPROTOOPT') } as Op;
}

/** Sets a buffer: first within the limit, then beyond it, which takes a privilege. */
function enlarge(fd: number, option: number, value: number, label: string, bench: Bench): Op[] {
  const force = option === SO.SNDBUF ? SO.SNDBUFFORCE : SO.RCVBUFFORCE;
  return [
    setInt(fd, option, value, label, bench),
    { ...setInt(fd, force, value, label, bench), check: tolerate('EPERM') } as Op,
  ];
}

function setInt(fd: number, option: number, value: number, label: string, bench: Bench): Op {
  const bytes = Buffer.alloc(INT);
  bytes.writeInt32LE(value);
  return set(fd, option, bench.arena.bytes(bytes), INT, { label, shown: `[${value}]` });
}

function set(
  fd: Operand,
  option: number,
  address: bigint,
  size: number,
  { label, shown = '...' }: { label: string; shown?: string },
): Op {
  return call('setsockopt', [fd, SOL_SOCKET, option, address, size], {
    label,
    text: `setsockopt(${show(fd)}, SOL_SOCKET, ${nameOf(option)}, ${shown}, ${size})`,
  });
}

function nameOf(option: number): string {
  const name = Object.entries(SO).find(([, number]) => number === option)?.[0];
  return name === undefined ? String(option) : `SO_${name}`;
}
