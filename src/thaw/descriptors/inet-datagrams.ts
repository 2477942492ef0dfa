/**
 * Datagrams that wait in a UDP socket: sent once more, in the name of those who had sent them, before the socket has
 * its options and its address. Neither decides what comes in, then; and the addresses of the process's other
 * sockets, which may be the senders, are not taken yet.
 */
import { O } from '../../fcntl.js';
import { SO, SOL } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call } from '../calls.js';
import { Flag, type Op } from '../program.js';
import type { Bench } from './bench.js';
import { close, duplicate } from './calls.js';
import { Arrival } from './datagram-arrival.js';
import { isFour, labelOf, type Run, runsOf } from './datagram-run.js';
import { sendRun, testSender } from './datagram-sender.js';
import { testLocal } from './local-address.js';
import type { Tools } from './planner.js';
import { attachFilter, makeSocket, setInteger, setSize } from './socket-calls.js';

type Inet = OpenFileOf<'inet'>;

const SO_DETACH_FILTER = 27;
const IP_PKTINFO = 8;
const IPV6 = { V6ONLY: 26, RECVPKTINFO: 49 } as const;
/** More than the kernel counts for a datagram beside twice its content, in bytes. */
const OVERHEAD = 1536;
/** Lets nothing in but what comes by the loopback interface: `ld ifindex; jeq #1; ret #-1; ret #0`. */
const FROM_HERE = filterOf([0x20, 0, 0, 0xffff_f008], [0x15, 0, 1, 1], [6, 0, 0, 0xffff_ffff], [6, 0, 0, 0]);

/** The numbers at which sockets with datagrams are made. */
export function datagramPlaces(bench: Bench): Map<number, number> {
  const places = new Map<number, number>();
  bench.table.files.forEach((file, index) => {
    if (file.kind === 'inet' && file.datagrams.length > 0) places.set(index, bench.temporary());
  });
  return places;
}

/** Makes sockets that have no address yet, with the datagrams that wait in them. */
export function fillDatagrams({ bench, filled }: Tools): Op[] {
  return [...filled].flatMap(([index, fd]): Op[] => {
    const file = bench.table.files[index] as Inet;
    const { name } = bench.places[index]!;
    const label = `cannot make a socket (${name})`;
    const cell = bench.arena.cell();
    bench.opened(fd);
    return [
      makeSocket(file, (file.flags & O.NONBLOCK) | O.CLOEXEC, { label, result: cell }),
      duplicate(cell, fd, true, { label }),
      close(cell),
      ...unlessDropped(fill(file, fd, name, bench)),
    ];
  });
}

/** Under `--check`: whether they could be sent, by whom and to where. */
export function testDatagrams(file: Inet, name: string, bench: Bench): Op[] {
  const runs = new Map(runsOf(file).map((run) => [Buffer.concat([run.source, run.to]).toString('hex'), run]));
  const ops = [...runs.values()].flatMap((run): Op[] => {
    const label = labelOf(run, name);
    return [...testLocal(run.to, label, bench), ...testSender(run, file, label, bench)];
  });
  return unlessDropped(ops);
}

function unlessDropped(ops: readonly Op[]): Op[] {
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, unless: (op.unless ?? 0) | Flag.DATAGRAMS_DROP }));
}

function fill(file: Inet, fd: number, name: string, bench: Bench): Op[] {
  const { arena } = bench;
  const label = `cannot put back datagrams (${name})`;
  const runs = runsOf(file);
  const arrival = new Arrival(fd, bench, label);
  const targets = new Map(runs.map((run) => [run.to.join('.'), run]));
  return [
    ...[...targets.values()].flatMap((run) => testLocal(run.to, labelOf(run, name), bench)),
    ...attachFilter(fd, FROM_HERE, name, arena),
    ...makeRoom(file, fd, label, bench),
    ...takingBoth(file, runs, fd, label, bench, [
      ...arrival.begin(),
      ...runs.flatMap((run) => [
        ...mark(file, fd, run.like.marked, runs, label, bench),
        ...sendRun(run, file, fd, arrival, labelOf(run, name), bench),
      ]),
      ...mark(file, fd, false, runs, label, bench),
      arrival.end(),
    ]),
    setInteger(fd, SOL.SOCKET, SO_DETACH_FILTER, 0, arena, { label }),
  ];
}

/** A size that the program has chosen comes with the options; it may have been another as these came. */
function makeRoom({ options, datagrams }: Inet, fd: number, label: string, { arena }: Bench): Op[] {
  const chosen = options.find(({ level, option }) => level === SOL.SOCKET && option === SO.RCVBUF);
  if (!chosen) return [];
  const need = datagrams.reduce((sum, { content }) => sum + 2 * content.length + OVERHEAD, 0);
  return setSize(fd, SO.RCVBUF, Math.max(need, Buffer.from(chosen.value).readInt32LE(0)), arena, { label });
}

/** Lets an IPv6 socket take those of IPv4 for as long as it takes, whatever the machine begins with. */
function takingBoth(
  { family }: Inet,
  runs: readonly Run[],
  fd: number,
  label: string,
  { arena }: Bench,
  ops: Op[],
): Op[] {
  if (family === 'ipv4' || !runs.some(({ source }) => isFour(source))) return ops;
  const value = arena.reserve(8);
  const option: [number, number, number] = [fd, SOL.IPV6, IPV6.V6ONLY];
  return [
    call('getsockopt', [...option, value, arena.bytes(Uint8Array.of(4, 0, 0, 0))], {
      ...{ label, text: `getsockopt(${fd}, IPV6_V6ONLY)` },
    }),
    setInteger(...option, 0, arena, { label }),
    ...ops,
    call('setsockopt', [...option, value, 4], {
      ...{ label, text: `setsockopt(${fd}, IPV6_V6ONLY, what it was)` },
    }),
  ];
}

/** Lets the kernel note by which interface they come, or not. */
function mark(
  { family }: Inet,
  fd: number,
  marked: boolean,
  runs: readonly Run[],
  label: string,
  { arena }: Bench,
): Op[] {
  if (!runs.some(({ like }) => like.marked)) return [];
  const four = family === 'ipv4';
  const option = four ? IP_PKTINFO : IPV6.RECVPKTINFO;
  return [setInteger(fd, four ? SOL.IP : SOL.IPV6, option, marked ? 1 : 0, arena, { label })];
}

/** Instructions of a classic filter: code, jumps if true and if false, operand. */
function filterOf(...instructions: readonly (readonly [number, number, number, number])[]): Uint8Array {
  const bytes = Buffer.alloc(instructions.length * 8);
  instructions.forEach(([code, yes, no, operand], i) => {
    bytes.writeUInt16LE(code, i * 8);
    bytes.set([yes, no], i * 8 + 2);
    bytes.writeUInt32LE(operand, i * 8 + 4);
  });
  return bytes;
}
