/**
 * Rings of packet sockets. The kernel begins a new ring with its first block, wherever it was in the one that was
 * frozen: so the ring is mapped at a place of its own and moved from there in two parts, turned so that the kernel's
 * first block is the one that the program awaits.
 */
import { UnsupportedError } from '../errors.js';
import { BLOCK, RING_PACKET, ringSize, TP_STATUS_BLK_TMO, TP_STATUS_USER } from '../packet-ring.js';
import type { OpenFile } from '../snapshot/descriptors.js';
import { type PacketRing, ringRange } from '../snapshot/packet-ring.js';
import type { Process } from '../snapshot/schema.js';
import { call, MapFlag, Mremap, mapFixed, Prot, protect } from './calls.js';
import { type MemoryContext, type PlacedRegion, planAdvice, readExtent } from './memory.js';
import type { Op } from './program.js';

/** How much room the largest ring needs, in bytes. */
export function ringRoom({ descriptors: { files } }: Process): bigint {
  return files
    .map(ringOf)
    .reduce((most, ring) => (ring && ringSize(ring) > most ? ringSize(ring) : most), 0n);
}

function ringOf(file: OpenFile): PacketRing | null {
  return file.kind === 'packet' ? file.ring : null;
}

/**
 * Maps all rings, with what was in them.
 * @param sockets descriptor of each file of the table
 * @param room a free range of `ringRoom` bytes
 * @throws UnsupportedError for memory that shows no such ring
 */
export function planRings(
  { descriptors: { files } }: Process,
  regions: readonly PlacedRegion[],
  sockets: readonly number[],
  context: MemoryContext,
  room: bigint,
): Op[] {
  const shown = regions.filter(({ region }) => region.backing.kind === 'ring');
  const planned = new Set<PlacedRegion>();
  const ops = files.flatMap((file, index) => {
    const ring = ringOf(file);
    if (!ring) return [];
    const { start, end } = ringRange(ring);
    const views = shown.filter(({ region }) => region.start >= start && region.end <= end);
    for (const view of views) planned.add(view);
    return planRing(ring, views, sockets[index]!, context, room);
  });
  const lost = shown.filter((view) => !planned.has(view));
  if (lost.length > 0) {
    throw new UnsupportedError(
      lost.map(
        ({ region: { start, end, path } }) =>
          `the memory at ${start.toString(16)}-${end.toString(16)} ${path} is that of a socket that is not carried`,
      ),
    );
  }
  return ops;
}

function planRing(
  ring: PacketRing,
  views: readonly PlacedRegion[],
  socket: number,
  context: MemoryContext,
  room: bigint,
): Op[] {
  const { start, end } = ringRange(ring);
  const label = `cannot map the ring of descriptor ${socket} at ${start.toString(16)}-${end.toString(16)}`;
  return [
    ...map(ring, socket, room, label),
    ...views.flatMap(({ region, extents }) => extents.map((extent) => readExtent(extent, region, context))),
    ...ring.waiting.flatMap((block) => number(ring, block)),
    ...give(ring),
    ...views.flatMap(({ region }) => [
      ...(region.prot === (Prot.READ | Prot.WRITE) ? [] : [protect(region, region.prot, { label })]),
      ...planAdvice(region),
    ]),
  ];
}

function map(ring: PacketRing, socket: number, room: bigint, label: string): Op[] {
  const { start, end } = ringRange(ring);
  const size = end - start;
  const turn = BigInt(ring.first) * BigInt(ring.blockSize);
  const mapAt = (at: bigint): Op =>
    mapFixed({ start: at, end: at + size }, Prot.READ | Prot.WRITE, MapFlag.SHARED, socket, 0, { label });
  const move = (from: bigint, length: bigint, to: bigint): Op =>
    call('mremap', [from, length, length, Mremap.MAYMOVE | Mremap.FIXED, to], {
      ...{ label, check: { kind: 'equal', expected: to } },
    });
  if (turn === 0n) return [mapAt(start)];
  return [mapAt(room), move(room, size - turn, start + turn), move(room + size - turn, turn, start)];
}

/** The kernel counts from 1 on, at `first`: what is before it gets the numbers before that. */
function number(ring: PacketRing, block: number): Op[] {
  const distance = (ring.first - block + ring.blockCount) % ring.blockCount;
  return [store(ring, block, BLOCK.sequence, 8, BigInt.asUintN(64, BigInt(1 - distance)))];
}

/** What the kernel writes when it gives a block to the program. */
function give(ring: PacketRing): Op[] {
  if (ring.given === null) return [];
  const { packets, length, last, seconds, nanoseconds } = ring.given;
  const block = (ring.first - 1 + ring.blockCount) % ring.blockCount;
  return [
    store(ring, block, BLOCK.packets, 4, packets),
    store(ring, block, BLOCK.length, 4, length),
    store(ring, block, BLOCK.lastSeconds, 4, seconds),
    store(ring, block, BLOCK.lastNanoseconds, 4, nanoseconds),
    store(ring, block, last + RING_PACKET.next, 4, 0),
    store(ring, block, BLOCK.status, 4, TP_STATUS_USER | TP_STATUS_BLK_TMO),
  ];
}

function store(ring: PacketRing, block: number, at: number, width: 4 | 8, value: number | bigint): Op {
  const address = ring.address + BigInt(block) * BigInt(ring.blockSize) + BigInt(at);
  return {
    ...{ op: 'store', address, width, value },
    text: `store ${value} at byte ${at} of block ${block} of the ring`,
  };
}
