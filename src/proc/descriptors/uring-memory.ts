/** Where a process sees the memory of an io_uring. All of them have one inode, so the pages themselves are compared. */
import { closeSync, openSync, readSync } from 'node:fs';
import { addon } from '../../native/addon.js';
import { PAGE_SIZE } from '../../page.js';
import { OFFSET, RING_LINK } from '../../uring.js';
import { type Mapping, readMappings } from '../maps.js';
import { Refusal } from './refusal.js';
import { field, type RingContext } from './uring-view.js';

const NR_MMAP = 9;
const NR_MUNMAP = 11;
const PROT_READ = 1;
const MAP_SHARED = 1;
const PAGE = BigInt(PAGE_SIZE);
/** Of a word of pagemap: the number of the page, and that there is one. */
const FRAME = (1n << 55n) - 1n;
const PRESENT = 1n << 63n;

/** Reads numbers of pages from `/proc/PID/pagemap`. */
export class Frames {
  readonly #pagemap: number;

  constructor(pid: number | 'self') {
    this.#pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
  }

  close(): void {
    closeSync(this.#pagemap);
  }

  /** The numbers of the pages of [start, end), which are multiples of 4096; 0 where there is none, or nobody tells. */
  of(start: bigint, end: bigint): BigUint64Array {
    const bytes = Buffer.alloc(Number((end - start) / PAGE) * 8);
    readSync(this.#pagemap, bytes, 0, bytes.length, (start / PAGE) * 8n);
    const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
    return words.map((word) => (word & PRESENT ? word & FRAME : 0n));
  }

  /** The number of the page at an address. */
  at(address: bigint): bigint {
    return this.of(address, address + PAGE)[0] ?? 0n;
  }
}

/** A view of an io_uring, as a snapshot has it. */
export interface RingView {
  readonly address: bigint;
  readonly size: number;
  readonly offset: bigint;
}

/** Where a ring is, for the process and in memory. */
export interface RingMemory {
  readonly views: RingView[];
  /** Number of the first page of the rings. */
  readonly frame: bigint;
}

/**
 * Finds the views of a ring.
 * @param copy a descriptor of ours
 * @throws Refusal where it is not mapped as a whole, or nobody tells
 */
export function findViews(pid: number, copy: number, ring: RingContext): RingMemory {
  const [ringsSize, entriesSize] = [sizeOf(ring, 'ring_region'), sizeOf(ring, 'sq_region')];
  const rings = firstFrame(copy, OFFSET.SQ_RING, ringsSize);
  const entries = firstFrame(copy, OFFSET.SQES, entriesSize);
  const frames = new Frames(pid);
  try {
    const views = ringMappings(pid).flatMap(({ start, end, offset }): RingView[] => {
      const frame = frames.at(start);
      const isRings = frame === rings && (offset === OFFSET.SQ_RING || offset === OFFSET.CQ_RING);
      if (!isRings && !(frame === entries && offset === OFFSET.SQES)) return [];
      return [{ address: start, size: Number(end - start), offset }];
    });
    const shows = (least: number, offsets: readonly bigint[]): boolean =>
      views.some(({ size, offset }) => offsets.includes(offset) && size >= least);
    if (!shows(ringsSize, [OFFSET.SQ_RING, OFFSET.CQ_RING]) || !shows(entriesSize, [OFFSET.SQES])) {
      throw new Refusal('its memory is not mapped, or not as a whole, which is not carried');
    }
    return { views, frame: rings };
  } finally {
    frames.close();
  }
}

/** Mappings of any io_uring. */
export function ringMappings(pid: number): Mapping[] {
  return readMappings(pid, 'maps').filter(({ path }) => path === RING_LINK);
}

/** Bytes of a part of its memory. */
function sizeOf(ring: RingContext, part: 'ring_region' | 'sq_region'): number {
  return Number(field(ring, `${part}.nr_pages`)) * PAGE_SIZE;
}

/** The number of the first page that a descriptor shows, for which we look at it ourselves for a moment. */
function firstFrame(copy: number, offset: bigint, size: number): bigint {
  const address = addon.syscall(NR_MMAP, 0, size, PROT_READ, MAP_SHARED, copy, offset);
  const frames = new Frames('self');
  try {
    const frame = frames.at(address);
    if (frame === 0n) throw new Refusal('only root (CAP_SYS_ADMIN) is told which memory is its own');
    return frame;
  } finally {
    frames.close();
    addon.syscall(NR_MUNMAP, address, size);
  }
}
