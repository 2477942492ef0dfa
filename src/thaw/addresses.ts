/**
 * Where things lie at thaw: the thaw segments, and the places at which regions are linked that
 * cannot be loaded where they belong.
 */
import { PAGE_SIZE } from '../page.js';

/** A half-open range of addresses. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

/** Size of a page in bytes, as addresses are counted. */
export const PAGE = BigInt(PAGE_SIZE);
/** End of the 47-bit user address space. */
export const USER_SPACE_END = 0x7fff_ffff_f000n;
/**
 * execve(2) puts the new process's stack within 16 GiB below the end of user space before it maps
 * the segments: one that lies there would silently replace it.
 */
export const STACK_WINDOW_START = USER_SPACE_END - (16n << 30n);
/** Lowest address used for our own segments; vm.mmap_min_addr is 64 KiB everywhere. */
const LOWEST = 0x1_0000n;
/** Kept free on both sides of our own segments: room for a growing stack's guard gap and for brk's random offset. */
const MARGIN = 64n << 20n;

/** The next multiple of `unit`, by default of the page size, that is not below `value`. */
export function roundUp(value: bigint, unit = PAGE): bigint {
  return ((value + unit - 1n) / unit) * unit;
}

/** The gaps between ascending ranges within [low, high). */
export function gaps(ranges: readonly Range[], low: bigint, high: bigint): Range[] {
  const free: Range[] = [];
  let cursor = low;
  for (const { start, end } of ranges) {
    if (start > cursor) free.push({ start: cursor, end: start < high ? start : high });
    if (end > cursor) cursor = end;
    if (cursor >= high) return free;
  }
  free.push({ start: cursor, end: high });
  return free;
}

/** Merges ranges that touch or overlap; the result ascends. */
export function merge(ranges: readonly Range[]): Range[] {
  const merged: { start: bigint; end: bigint }[] = [];
  for (const range of [...ranges].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))) {
    const last = merged.at(-1);
    if (last && range.start <= last.end) {
      if (range.end > last.end) last.end = range.end;
    } else {
      merged.push({ ...range });
    }
  }
  return merged;
}

/**
 * Finds the highest free place of `size` bytes below the stack window.
 * @param occupied the process's regions, ascending
 * @returns the address, or `null` if the address space is that full
 */
export function findPlace(occupied: readonly Range[], size: bigint): bigint | null {
  for (const gap of gaps(occupied, LOWEST, STACK_WINDOW_START).reverse()) {
    if (gap.end - gap.start >= size + 2n * MARGIN) return (gap.end - MARGIN - size) & ~(PAGE - 1n);
  }
  return null;
}
