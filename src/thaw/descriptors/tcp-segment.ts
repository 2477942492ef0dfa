/** Segments that a socket of ours is given in the name of its peer: what that had said, and cannot be set. */
import { createHash } from 'node:crypto';
import { AF, IPPROTO, onWire, SOL, takeApart } from '../../inet.js';
import { PASSING_MARK } from '../../nftables.js';
import type { TcpConnection } from '../../snapshot/tcp-connection.js';
import type { TcpKey } from '../../snapshot/tcp-key.js';
import { KEPT_STATES, TCP_OPTION } from '../../tcp.js';
import { keyFor } from '../../tcp-key.js';
import { call, type Extra } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';
import { close } from './calls.js';
import { HOPS, ipHeader, makePacketSocket } from './packets.js';
import { setInteger } from './socket-calls.js';

/** A segment without content, by `struct tcphdr`. */
export interface Segment {
  readonly sequence: number;
  /** What it confirms. */
  readonly confirmed: number;
  /** As it stands in the header. */
  readonly window: number;
  /** It ends the stream (FIN). */
  readonly end: boolean;
}

const SO_MARK = 36;
const TCPHDR = 20;
/** A signature (RFC 2385) among the options: kind and length, with padding before them. */
const SIGNED = [1, 1, 19, 18] as const;
const MD5 = 16;
const FIN = 1;
const ACK = 0x10;
/** Milliseconds between looks at the state: a segment on the loopback interface is there at once. */
const PAUSES = [1, 10, 100, 1000, 5000];

/** Sends a segment from the peer's address to ours, past the hold. @param keys of our socket */
export function sendSegment(
  { local, peer }: TcpConnection,
  segment: Segment,
  keys: readonly TcpKey[],
  { arena }: Bench,
  extra: Extra,
): Op[] {
  const label = `${extra.label}, which takes CAP_NET_RAW`;
  const socket = arena.cell();
  const packet = packetOf(local, peer, segment, keys);
  const to = target(local);
  return [
    makePacketSocket(to.length === 16 ? AF.INET : AF.INET6, socket, { label }),
    setInteger(socket, SOL.SOCKET, SO_MARK, PASSING_MARK, arena, { label }),
    call('sendto', [socket, arena.bytes(packet), packet.length, 0, arena.bytes(to), to.length], {
      label,
      text: `sendto(RAW, [${segment.end ? 'FIN, ' : ''}ACK])`,
    }),
    close(socket),
  ];
}

/** Waits until a connection is in a state. */
export function awaitState(fd: number, state: TcpConnection['state'], bench: Bench, extra: Extra): Op[] {
  const done = bench.mark();
  const length = bench.arena.reserve(8);
  return [
    ...PAUSES.flatMap((pause): Op[] => {
      const wait = bench.mark();
      return [
        ...look(fd, state, length, bench, extra, wait),
        { op: 'jump', to: done },
        { op: 'mark', name: wait },
        call('poll', [0, 0, pause], { check: { kind: 'none' } }),
      ];
    }),
    ...look(fd, state, length, bench, extra),
    { op: 'mark', name: done },
  ];
}

/** The same where nothing has happened that would take time. */
export function testState(fd: number, state: TcpConnection['state'], bench: Bench, extra: Extra): Op[] {
  return look(fd, state, bench.arena.reserve(8), bench, extra);
}

/** @param jump where to go on if it is in another state; without it, that is a failure */
function look(
  fd: number,
  state: TcpConnection['state'],
  length: bigint,
  { scratch }: Bench,
  extra: Extra,
  jump?: string,
): Op[] {
  const [number] = KEPT_STATES.find(([, name]) => name === state)!;
  return [
    { op: 'store', address: length, width: 4, value: 1 },
    call('getsockopt', [fd, SOL.TCP, TCP_OPTION.INFO, scratch, length], {
      ...extra,
      text: `getsockopt(${fd}, TCP_INFO)`,
    }),
    {
      op: 'test',
      address: scratch,
      width: 1,
      mask: 0xffn,
      check: { kind: 'equal', expected: number, ...(jump ? { jump } : {}) },
      ...extra,
      reason: `it does not come into the state ${state}`,
      text: `test tcpi_state == ${number}`,
    },
  ];
}

/** Where a raw socket sends to: the address without a port, which it would take for a protocol. */
function target(local: Uint8Array): Uint8Array {
  const { host } = takeApart(local);
  const wire = onWire(host);
  if (wire.length === 16) {
    const address = Uint8Array.from(local);
    address.set([0, 0], 2);
    return address;
  }
  const address = Buffer.alloc(16);
  address.writeUInt16LE(AF.INET, 0);
  address.set(wire, 4);
  return address;
}

/** An IPv4 packet, or an IPv6 one, from the peer. */
function packetOf(
  local: Uint8Array,
  peer: Uint8Array,
  segment: Segment,
  keys: readonly TcpKey[],
): Uint8Array {
  const [own, its] = [takeApart(local), takeApart(peer)];
  const [to, from] = [onWire(own.host), onWire(its.host)];
  const key = keyFor(keys, from);
  const tcp = Buffer.alloc(TCPHDR + (key ? SIGNED.length + MD5 : 0));
  tcp.writeUInt16BE(its.port, 0);
  tcp.writeUInt16BE(own.port, 2);
  tcp.writeUInt32BE(segment.sequence, 4);
  tcp.writeUInt32BE(segment.confirmed, 8);
  tcp.writeUInt8((tcp.length / 4) << 4, 12);
  tcp.writeUInt8(ACK | (segment.end ? FIN : 0), 13);
  tcp.writeUInt16BE(segment.window, 14);
  if (key) {
    tcp.set(SIGNED, TCPHDR);
    tcp.set(signatureOf(from, to, tcp, key), TCPHDR + SIGNED.length);
  }
  tcp.writeUInt16BE(checksum([from, to, Uint8Array.of(0, IPPROTO.tcp, 0, tcp.length), tcp]), 16);
  return Buffer.concat([
    ipHeader({ from, to, protocol: IPPROTO.tcp, size: tcp.length, hops: HOPS, service: 0 }),
    tcp,
  ]);
}

/** RFC 2385, section 2: of a segment without content, and its header as long as it has no checksum. */
function signatureOf(from: Uint8Array, to: Uint8Array, tcp: Buffer, { key }: TcpKey): Uint8Array {
  const lengthAndProtocol =
    from.length === 4 ? [0, IPPROTO.tcp, 0, tcp.length] : [0, 0, 0, tcp.length, 0, 0, 0, IPPROTO.tcp];
  const parts = [from, to, Uint8Array.from(lengthAndProtocol), tcp.subarray(0, TCPHDR), key];
  return createHash('md5').update(Buffer.concat(parts)).digest();
}

/** The sum of the Internet protocols; each part has an even number of bytes. */
function checksum(parts: readonly Uint8Array[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
