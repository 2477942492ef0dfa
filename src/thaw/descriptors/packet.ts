/** Packet sockets: made and set up; bound at the very end, so that they see nothing of the thaw. */
import { O } from '../../fcntl.js';
import { SO, SOCK, SOL } from '../../inet.js';
import { AF_PACKET, fanoutId, LINK_ADDRESS, MOST_ADDRESS, PACKET } from '../../packet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, type Extra, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench } from './bench.js';
import { close, setFlags, settable } from './calls.js';
import { findInterface, storeIndex } from './interfaces.js';
import type { KindPlanner } from './planner.js';
import { setInteger, setOption, setOptions } from './socket-calls.js';

type Packet = OpenFileOf<'packet'>;

/** `struct packet_mreq_max`: where type and length of the address stand, the address, and the size of all. */
const REQUEST = { type: 4, length: 6, address: 8, size: 8 + MOST_ADDRESS } as const;

/** Plans a packet socket. */
export const packet: KindPlanner<Packet> = {
  make: (file, { at, closeOnExec, name }, { bench }) => [
    ...bench.create(
      (onExec) => make(file, onExec ? O.CLOEXEC : 0, { label: makeLabel(name) }),
      at,
      closeOnExec,
    ),
    ...setUp(at, file, name, bench),
    ...file.memberships.flatMap((membership) => join(at, membership, name, bench)),
    ...(settable(file.flags) ? [setFlags(at, file.flags, { label: makeLabel(name) })] : []),
  ],
  start: (file, { at, name }, { bench }) => [
    ...bind(at, file, name, bench),
    // bind(2) says so once more.
    ...(file.toldDown ? [takeError(at, bench)] : []),
    ...joinFanout(at, file, name, bench),
  ],
  // Neither promiscuous mode nor a fanout group, which others would notice.
  check: (file, { name }, { bench }) => {
    const cell = bench.arena.cell();
    return [
      make(file, O.CLOEXEC, { label: makeLabel(name), result: cell }),
      ...setUp(cell, file, name, bench),
      ...bind(cell, file, name, bench),
      close(cell),
    ];
  },
};

function makeLabel(name: string): string {
  return `cannot make a packet socket, which takes CAP_NET_RAW (${name})`;
}

/** Without a protocol, so that no packet reaches it. */
function make({ type }: Packet, flags: number, extra: Extra): Op {
  const [number, shown] = type === 'raw' ? [SOCK.RAW, 'SOCK_RAW'] : [SOCK.DGRAM, 'SOCK_DGRAM'];
  return call('socket', [AF_PACKET, number | flags, 0], {
    text: `socket(AF_PACKET, ${shown}${flags ? '|SOCK_CLOEXEC' : ''}, 0)`,
    ...extra,
  });
}

/** Options, filter and ring. An interface that is missing is noticed before anything is restored. */
function setUp(fd: Operand, file: Packet, name: string, bench: Bench): Op[] {
  const devices = [file.interface, ...file.memberships.map((membership) => membership.interface)];
  return [
    ...[...new Set(devices)].flatMap((device) =>
      device === null ? [] : findInterface(fd, device, name, bench).ops,
    ),
    ...setOptions(fd, file, name, bench.arena),
    ...makeRing(fd, file, name, bench),
  ];
}

function makeRing(fd: Operand, { ring }: Packet, name: string, { arena }: Bench): Op[] {
  if (ring === null) return [];
  const { blockSize, blockCount, frameSize, frameCount, timeout, privateSize, features } = ring;
  const request = Buffer.alloc(28); // struct tpacket_req3
  [blockSize, blockCount, frameSize, frameCount, timeout, privateSize, features].forEach((word, i) => {
    request.writeUInt32LE(word, i * 4);
  });
  return [
    setOption(fd, SOL.PACKET, PACKET.RX_RING, request, arena, {
      label: `cannot make a ring of ${blockCount} blocks of ${blockSize} bytes (${name})`,
    }),
  ];
}

function join(
  fd: Operand,
  { interface: device, type, address, count }: Packet['memberships'][number],
  name: string,
  bench: Bench,
): Op[] {
  const found = findInterface(fd, device, name, bench);
  const bytes = Buffer.alloc(REQUEST.size);
  bytes.writeUInt16LE(type, REQUEST.type);
  bytes.writeUInt16LE(address.length, REQUEST.length);
  bytes.set(address, REQUEST.address);
  const request = bench.arena.bytes(bytes);
  const ask = call('setsockopt', [fd, SOL.PACKET, PACKET.ADD_MEMBERSHIP, request, REQUEST.size], {
    label: `cannot set PACKET_ADD_MEMBERSHIP on ${device} (${name})`,
    text: `setsockopt(${show(fd)}, PACKET_ADD_MEMBERSHIP, type ${type} on ${device})`,
  });
  return [...found.ops, ...storeIndex(found, request), ...Array.from({ length: count }, () => ask)];
}

/** From here on packets reach it. */
function bind(fd: Operand, { protocol, interface: device }: Packet, name: string, bench: Bench): Op[] {
  if (protocol === 0 && device === null) return [];
  const { arena } = bench;
  const bytes = Buffer.alloc(LINK_ADDRESS.size);
  bytes.writeUInt16LE(AF_PACKET, 0);
  bytes.writeUInt16BE(protocol, LINK_ADDRESS.protocol);
  const address = arena.bytes(bytes);
  const found = device === null ? null : findInterface(fd, device, name, bench);
  const where = device ?? 'all interfaces';
  return [
    ...(found?.ops ?? []),
    ...(found ? storeIndex(found, address + BigInt(LINK_ADDRESS.interface)) : []),
    call('bind', [fd, address, LINK_ADDRESS.size], {
      label: `cannot bind a packet socket to ${where} (${name})`,
      text: `bind(${show(fd)}, {AF_PACKET, protocol 0x${protocol.toString(16).padStart(4, '0')}, ${where}})`,
    }),
  ];
}

/** SO_ERROR, which is 0 from then on. */
function takeError(fd: Operand, { arena, scratch }: Bench): Op {
  const length = arena.bytes(Uint8Array.of(4, 0, 0, 0));
  return call('getsockopt', [fd, SOL.SOCKET, SO.ERROR, scratch, length], {
    text: `getsockopt(${show(fd)}, SOL_SOCKET, SO_ERROR)`,
  });
}

function joinFanout(fd: Operand, { fanout }: Packet, name: string, { arena }: Bench): Op[] {
  if (fanout === null) return [];
  const label = `cannot join fanout group ${fanoutId(fanout)} (${name})`;
  return [setInteger(fd, SOL.PACKET, PACKET.FANOUT, fanout | 0, arena, { label })];
}
