/**
 * Datagrams that wait in a UDP socket: sent once more, in the name of those who had sent them, before the socket has
 * its options and its address. Neither decides what comes in, then; and the addresses of the process's other
 * sockets, which may be the senders, are not taken yet.
 */
import { O } from '../../fcntl.js';
import { AF, addressText, IPPROTO, LOOPBACK, onWire, putTogether, SO, SOL, takeApart } from '../../inet.js';
import type { Datagram } from '../../snapshot/datagram.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, type Extra, show } from '../calls.js';
import { type Cell, Flag, type Op } from '../program.js';
import type { Bench } from './bench.js';
import { close, duplicate } from './calls.js';
import { testLocal } from './local-address.js';
import { HOPS, ipHeader, makePacketSocket } from './packets.js';
import type { Tools } from './planner.js';
import { attachFilter, makeSocket, setInteger, setSize, toAddress } from './socket-calls.js';

type Inet = OpenFileOf<'inet'>;

const SO_DETACH_FILTER = 27;
const IP = { TOS: 1, TTL: 2, PKTINFO: 8, TRANSPARENT: 19 } as const;
const IPV6 = { UNICAST_HOPS: 16, V6ONLY: 26, RECVPKTINFO: 49, TCLASS: 67, TRANSPARENT: 75 } as const;
const UDP_NO_CHECK6_RX = 102;
const UDPHDR = 8;
/** Where a `sockaddr`, and the header of a datagram behind its sender's, has the port. */
const PORT = 2n;
const CLOCK_MONOTONIC = 1;
/** Seconds after which waiting for a datagram of our own has failed, and milliseconds between two looks. */
const PATIENCE = 10;
const PAUSE = 1;
/** More than the kernel counts for a datagram beside twice its content, in bytes. */
const OVERHEAD = 1536;
/** Lets nothing in but what comes by the loopback interface: `ld ifindex; jeq #1; ret #-1; ret #0`. */
const FROM_HERE = filterOf([0x20, 0, 0, 0xffff_f008], [0x15, 0, 1, 1], [6, 0, 0, 0xffff_ffff], [6, 0, 0, 0]);

/** Datagrams one after the other that only their content tells apart. */
interface Run {
  /** As it is on the wire. */
  readonly source: Uint8Array;
  readonly to: Uint8Array;
  readonly like: Datagram;
  readonly contents: Uint8Array[];
}

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
    const sender = bench.arena.cell(-1n);
    const forged = mayForge(file) ? bench.mark() : undefined;
    const done = bench.mark();
    return [
      ...testLocal(run.to, label, bench),
      ...bindSender(run, sender, file, label, forged, bench),
      ...(forged === undefined
        ? []
        : [
            { op: 'jump' as const, to: done },
            { op: 'mark' as const, name: forged },
            ...openForger(run, sender, label),
            { op: 'mark' as const, name: done },
          ]),
      close(sender),
    ];
  });
  return unlessDropped(ops);
}

function unlessDropped(ops: readonly Op[]): Op[] {
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, unless: (op.unless ?? 0) | Flag.DATAGRAMS_DROP }));
}

function runsOf({ datagrams }: Inet): Run[] {
  const runs: Run[] = [];
  let last = '';
  for (const like of datagrams) {
    const { source, destination, marked, hops, service, content } = like;
    const key = [addressText(source), destination?.join('.'), marked, hops, service].join(' ');
    if (key !== last || runs.length === 0) runs.push(runOf(like));
    runs.at(-1)!.contents.push(content);
    last = key;
  }
  return runs;
}

function runOf(like: Datagram): Run {
  const { host, port } = takeApart(like.source);
  const wire = onWire(host);
  const to = like.destination ? onWire(like.destination) : LOOPBACK[wire.length === 4 ? 'ipv4' : 'ipv6'];
  return { source: putTogether(wire, port), to, like, contents: [] };
}

function labelOf({ like }: Run, name: string): string {
  return `cannot put back a datagram from ${addressText(like.source)}, which --datagrams=drop leaves out (${name})`;
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
  const option = four ? IP.PKTINFO : IPV6.RECVPKTINFO;
  return [setInteger(fd, four ? SOL.IP : SOL.IPV6, option, marked ? 1 : 0, arena, { label })];
}

/** Sends from a socket at the sender's address; where there cannot be one, with a header of our own. */
function sendRun(run: Run, file: Inet, fd: number, arrival: Arrival, label: string, bench: Bench): Op[] {
  const { arena } = bench;
  const { source, to, contents } = run;
  const sender = arena.cell(-1n);
  const port = new TemporaryPort(fd, file, label, bench);
  const packets = contents.map((content) => packetOf(run, content));
  const at = packets.map((packet) => arena.bytes(packet));
  const header = BigInt(packets[0]!.length - contents[0]!.length);
  const address = putTogether(to, 0);
  const [target, host] = [arena.bytes(address), arena.bytes(address)];
  const send = (from: bigint, size: number, where: bigint, jump?: string): Op =>
    call('sendto', [sender, from, size, 0, where, address.length], {
      label,
      check: jump === undefined ? { kind: 'equal', expected: size } : { kind: 'ok', jump },
      text: `sendto(${show(sender)}, [${size} bytes from ${addressText(source)}])`,
    });
  const forged = mayForge(file) ? bench.mark() : undefined;
  const done = bench.mark();
  return [
    ...bindSender(run, sender, file, label, forged, bench),
    ...port.take(),
    port.store(target + PORT),
    ...contents.flatMap(({ length }, i) =>
      // The first shows whether the address may be used.
      arrival.of(send(at[i]! + header, length, target, i === 0 ? forged : undefined)),
    ),
    ...(forged === undefined
      ? []
      : [
          { op: 'jump' as const, to: done },
          { op: 'mark' as const, name: forged },
          port.giveBack(),
          ...openForger(run, sender, label),
          ...port.take(),
          ...setUnchecked(run, fd, 1, label, bench),
          ...packets.flatMap((packet, i) => [
            port.store(at[i]! + header - BigInt(UDPHDR) + PORT),
            ...arrival.of(send(at[i]!, packet.length, host)),
          ]),
          ...setUnchecked(run, fd, 0, label, bench),
          { op: 'mark' as const, name: done },
        ]),
    port.giveBack(),
    close(sender),
  ];
}

/** Packets of our own have no checksum, which UDP-Lite does not know. */
function mayForge({ protocol }: Inet): boolean {
  return protocol === 'udp';
}

/**
 * A socket at the sender's address, which may be that of another host if we are privileged.
 * @param forged where to go on if there cannot be one
 */
function bindSender(
  { source, like: { hops, service } }: Run,
  result: Cell,
  file: Inet,
  label: string,
  forged: string | undefined,
  { arena }: Bench,
): Op[] {
  const four = isFour(source);
  const level = four ? SOL.IP : SOL.IPV6;
  const set = (option: number, value: number | null, extra: Extra = { label }): Op[] =>
    value === null ? [] : [setInteger(result, level, option, value, arena, extra)];
  // The kernel would give it another port instead.
  if (takeApart(source).port === 0 && forged !== undefined) return [{ op: 'jump', to: forged }];
  return [
    makeSocket({ ...file, family: four ? 'ipv4' : 'ipv6' }, O.CLOEXEC, { label, result }),
    ...set(four ? IP.TRANSPARENT : IPV6.TRANSPARENT, 1, { check: { kind: 'none' } }),
    ...set(four ? IP.TTL : IPV6.UNICAST_HOPS, hops),
    ...set(four ? IP.TOS : IPV6.TCLASS, service),
    toAddress('bind', result, source, arena, {
      label,
      check: { kind: 'ok', ...(forged === undefined ? {} : { jump: forged }) },
    }),
  ];
}

/** Instead of such a socket, one that sends whole packets. */
function openForger({ source }: Run, sender: Cell, label: string): Op[] {
  const all = `${label}, as it takes CAP_NET_RAW`;
  return [close(sender), makePacketSocket(isFour(source) ? AF.INET : AF.INET6, sender, { label: all })];
}

/** A packet to a port that is filled in. */
function packetOf({ source, to, like: { hops, service } }: Run, content: Uint8Array): Uint8Array {
  const { host, port } = takeApart(source);
  const udp = Buffer.alloc(UDPHDR);
  const size = UDPHDR + content.length;
  udp.writeUInt16BE(port, 0);
  udp.writeUInt16BE(size, 4);
  const header = { from: host, to, protocol: IPPROTO.udp, size, hops: hops ?? HOPS, service: service ?? 0 };
  return Buffer.concat([ipHeader(header), udp, content]);
}

/** Lets datagrams without a checksum in, which IPv6 does not by itself. */
function setUnchecked({ source }: Run, fd: number, on: number, label: string, { arena }: Bench): Op[] {
  return isFour(source) ? [] : [setInteger(fd, SOL.UDP, UDP_NO_CHECK6_RX, on, arena, { label })];
}

function isFour(address: Uint8Array): boolean {
  return takeApart(address).family === AF.INET;
}

/** A port that the kernel chooses for our socket, for the time being. */
class TemporaryPort {
  readonly #name: bigint;

  constructor(
    readonly fd: number,
    readonly file: Inet,
    readonly label: string,
    readonly bench: Bench,
  ) {
    this.#name = bench.arena.reserve(32);
  }

  take(): Op[] {
    const { fd, label, bench } = this;
    const any = putTogether(new Uint8Array(this.file.family === 'ipv4' ? 4 : 16), 0);
    const length = bench.arena.bytes(Uint8Array.of(any.length, 0, 0, 0));
    return [
      toAddress('bind', fd, any, bench.arena, { label }),
      call('getsockname', [fd, this.#name, length], { label, text: `getsockname(${fd})` }),
    ];
  }

  /** Writes it down, in the order of bytes that it has there. */
  store(address: bigint): Op {
    const value = { cell: this.#name + PORT };
    return { op: 'store', address, width: 2, value, text: 'store the port' };
  }

  /** To connect a socket to nothing takes the address from it that it has not chosen itself. */
  giveBack(): Op {
    const { fd, label, bench } = this;
    return call('connect', [fd, bench.arena.bytes(new Uint8Array(16)), 16], {
      label,
      text: `connect(${fd}, AF_UNSPEC)`,
    });
  }
}

/** What is sent may arrive a moment later: the memory that the kernel counts for the socket tells. */
class Arrival {
  readonly #timer: Cell;
  readonly #pollfd: bigint;
  readonly #before: bigint;
  readonly #after: bigint;
  readonly #length: bigint;

  constructor(
    readonly fd: number,
    readonly bench: Bench,
    readonly label: string,
  ) {
    const { arena } = bench;
    this.#timer = arena.cell(-1n);
    this.#pollfd = arena.bytes(Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0)); // POLLIN
    this.#before = arena.reserve(8);
    this.#after = arena.reserve(8);
    this.#length = arena.bytes(Uint8Array.of(4, 0, 0, 0));
  }

  /** Begins to count the time. */
  begin(): Op[] {
    const { label, bench } = this;
    const time = Buffer.alloc(32); // struct itimerspec
    time.writeBigInt64LE(BigInt(PATIENCE), 16);
    return [
      call('timerfd_create', [CLOCK_MONOTONIC, O.CLOEXEC], { label, result: this.#timer }),
      call('timerfd_settime', [this.#timer, 0, bench.arena.bytes(time), 0], { label }),
      { op: 'store', address: this.#pollfd, width: 4, value: this.#timer },
    ];
  }

  /** Sends, and waits until it is there. */
  of(send: Op): Op[] {
    const { bench, label } = this;
    const [again, done] = [bench.mark(), bench.mark()];
    return [
      this.#look(this.#before),
      send,
      { op: 'mark', name: again },
      this.#look(this.#after),
      {
        op: 'compare',
        left: this.#before,
        right: this.#after,
        size: 4,
        check: { kind: 'equal', expected: 0, jump: done },
        text: 'compare SO_MEMINFO before, after',
      },
      call('poll', [this.#pollfd, 1, PAUSE], {
        label,
        check: { kind: 'equal', expected: 0 },
        reason:
          'what is sent does not arrive (a packet filter, or net.core.rmem_max); --datagrams=drop leaves it out',
      }),
      { op: 'jump', to: again },
      { op: 'mark', name: done },
    ];
  }

  end(): Op {
    return close(this.#timer);
  }

  #look(into: bigint): Op {
    const { fd, label } = this;
    return call('getsockopt', [fd, SOL.SOCKET, SO.MEMINFO, into, this.#length], {
      label,
      text: `getsockopt(${fd}, SO_MEMINFO)`,
    });
  }
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
