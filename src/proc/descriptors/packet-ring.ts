/**
 * The ring in memory of a packet socket. Kernel and program go round it, each at a place of its own that is told
 * nowhere; the kernel's follows from the numbers that it gives the blocks. It goes on while the process is stopped:
 * what is found at one moment counts, and packets that come later would have come after the end of the process.
 */
import { closeSync, openSync } from 'node:fs';
import { sleepSync } from '../../native/syscalls.js';
import { BLOCK, RING_PACKET, type RingShape, ringSize, TP_STATUS_USER } from '../../packet-ring.js';
import type { PacketRing } from '../../snapshot/packet-ring.js';
import { readMemory } from '../infect.js';
import { readMappings } from '../maps.js';
import { PassingRefusal, Refusal } from './refusal.js';

/** So often is the ring looked at, should the kernel go on meanwhile; but one of many blocks fewer times. */
const LOOKS = 20;
const FEWEST_LOOKS = 3;
/** Of blocks in all looks: the process is held, and each takes some microseconds. */
const MOST_BLOCKS = 20_000;
/** Longer than the kernel takes to copy a packet, whose time it writes behind that, in ms. */
const COPYING_MS = 1;

/** A block by what is said of it. */
interface Block {
  readonly status: number;
  readonly packets: number;
  readonly firstPacket: number;
  readonly length: number;
  readonly sequence: bigint;
}

type Reader = (block: number, at: number, size: number) => Buffer;
type Position = Pick<PacketRing, 'first' | 'waiting' | 'given'>;

/**
 * Captures a ring of a stopped process.
 * @param inode of the socket
 * @throws Refusal
 */
export function captureRing(pid: number, inode: bigint, shape: RingShape): PacketRing {
  const address = findRing(pid, inode, shape);
  const mem = openSync(`/proc/${pid}/mem`, 'r');
  try {
    const read: Reader = (block, at, size) =>
      readMemory(mem, address + BigInt(block) * BigInt(shape.blockSize) + BigInt(at), size);
    let before = readBlocks(shape, read);
    for (let look = looksAt(shape); look > 0; look--) {
      // What the kernel was about to write into a block that it has just begun is there by now.
      const blocks = readBlocks(shape, read);
      const position = findPosition(before, blocks, shape, read);
      if (position) return { ...shape, address, ...position };
      before = blocks;
    }
  } finally {
    closeSync(mem);
  }
  throw new PassingRefusal(
    'its ring (PACKET_RX_RING) changes too fast to be looked at, or is not as the kernel leaves it',
  );
}

function looksAt({ blockCount }: RingShape): number {
  return Math.min(LOOKS, Math.max(FEWEST_LOOKS, Math.floor(MOST_BLOCKS / blockCount)));
}

/** Where the program sees the ring: as a whole and once, though perhaps turned, as a thaw maps it. */
function findRing(pid: number, inode: bigint, shape: RingShape): bigint {
  const size = ringSize(shape);
  const views = readMappings(pid, 'maps').filter(
    (mapping) => mapping.inode === inode && mapping.path.startsWith('socket:'),
  );
  const first = views[0];
  if (!first) throw new Refusal('it has a ring (PACKET_RX_RING) that is not mapped, which is not carried');
  let end = first.start;
  for (const view of views) {
    const isNext = view.start === end && view.shared;
    const offset = (first.offset + view.start - first.start) % size;
    const fits = view.offset === offset && offset + (view.end - view.start) <= size;
    if (!isNext || !fits) break;
    end = view.end;
  }
  const whole = end - first.start === size && views.at(-1)!.end === end;
  if (!whole || first.offset % BigInt(shape.blockSize) !== 0n) {
    throw new Refusal(
      'its ring (PACKET_RX_RING) is mapped in parts, or more than once, which is not carried',
    );
  }
  return first.start;
}

/** Where the kernel is, and what it has given to the program; `null` where it has gone on meanwhile. */
function findPosition(
  before: readonly Block[],
  blocks: readonly Block[],
  shape: RingShape,
  read: Reader,
): Position | null {
  if (!blocks.every((block, i) => isSame(block, before[i]!))) return null;
  // The latest; of what was put back by a thaw the numbers are 0 and below.
  const latest = blocks.reduce((best, { sequence }, i) => (sequence > blocks[best]!.sequence ? i : best), 0);
  const block = blocks[latest]!;
  if (block.sequence < 1n) {
    throw new Refusal(
      'its ring (PACKET_RX_RING) is not as the kernel leaves it: none of its blocks is the latest',
    );
  }
  const waiting = blocks.flatMap(({ status }, i) => (status & TP_STATUS_USER ? [i] : []));
  const next = (latest + 1) % blocks.length;
  const goOn = (given: Position['given']): Position => {
    if (next === latest || waiting.includes(next)) {
      throw new PassingRefusal('its ring (PACKET_RX_RING) is full: the program has not read what is in it');
    }
    return { first: next, waiting: given ? [...waiting, latest] : waiting, given };
  };
  // The kernel has given it away, and waits for the next to be free.
  if (block.status & TP_STATUS_USER) return goOn(null);
  if (block.packets === 0) return { first: latest, waiting, given: null };
  const last = findLast(block, latest, shape, read);
  if (last === null || !isSame(block, readBlock(latest, read))) return null;
  // The program has given it back already.
  if (last.next === 0) return goOn(null);
  sleepSync(COPYING_MS);
  const header = read(latest, last.at, RING_PACKET.size);
  return goOn({
    packets: block.packets,
    length: block.length,
    last: last.at,
    seconds: header.readUInt32LE(RING_PACKET.seconds),
    nanoseconds: header.readUInt32LE(RING_PACKET.nanoseconds),
  });
}

function readBlocks({ blockCount }: RingShape, read: Reader): Block[] {
  return Array.from({ length: blockCount }, (_, block) => readBlock(block, read));
}

function readBlock(block: number, read: Reader): Block {
  const header = read(block, 0, BLOCK.size);
  return {
    status: header.readUInt32LE(BLOCK.status),
    packets: header.readUInt32LE(BLOCK.packets),
    firstPacket: header.readUInt32LE(BLOCK.firstPacket),
    length: header.readUInt32LE(BLOCK.length),
    sequence: header.readBigInt64LE(BLOCK.sequence),
  };
}

/** Whether it is the same block still, with more packets in it perhaps. */
function isSame(one: Block, other: Block): boolean {
  return one.status === other.status && one.sequence === other.sequence;
}

/**
 * The last packet of a block; `null` where none is found. Only that of a block which the kernel still fills has another
 * to come.
 */
function findLast(
  { packets, firstPacket, length }: Block,
  block: number,
  { blockSize }: RingShape,
  read: Reader,
): { readonly at: number; readonly next: number } | null {
  const bytes = read(block, 0, Math.min(length, blockSize));
  for (let at = firstPacket, left = packets; at >= BLOCK.size && at + RING_PACKET.size <= bytes.length; ) {
    const next = bytes.readUInt32LE(at + RING_PACKET.next);
    if (--left === 0) return { at, next };
    if (next < RING_PACKET.size) break;
    at += next;
  }
  return null;
}
