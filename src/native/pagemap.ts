/** Which pages of a process exist: /proc/PID/pagemap, by ioctl where the kernel has it, else word by word. */
import { readSync } from 'node:fs';
import { PAGE_SIZE } from '../page.js';
import { addon } from './addon.js';

const PAGE = BigInt(PAGE_SIZE);

/** A range of pages that exist (in memory or in swap), the kernel's shared page of zeros not counted. */
export interface PageRange {
  readonly start: bigint;
  readonly end: bigint;
  /**
   * The pages belong to a file or to shared memory. In a private mapping of a file, pages without
   * this are the process's own copies.
   */
  readonly file: boolean;
}

/**
 * Lists the pages of [start, end) that exist.
 * @param fd - descriptor of /proc/PID/pagemap.
 * @param start - address, a multiple of 4096; so is `end`.
 * @returns ascending ranges. Without the ioctl the page of zeros cannot be told and counts as existing.
 */
export function scanPagemap(fd: number, start: bigint, end: bigint): PageRange[] {
  try {
    return scanByIoctl(fd, start, end);
  } catch (error) {
    // Kernels before 6.7 have no such ioctl.
    if ((error as NodeJS.ErrnoException).code !== 'ENOTTY') throw error;
    return scanByWords(fd, start, end);
  }
}

/** `_IOWR('f', 16, struct pm_scan_arg)` of `linux/fs.h`, and its categories of pages. */
const PAGEMAP_SCAN = 0xc0606610;
const PAGE_IS_FILE = 1n << 2n;
const PAGE_IS_PRESENT = 1n << 3n;
const PAGE_IS_SWAPPED = 1n << 4n;
const PAGE_IS_PFNZERO = 1n << 5n;
/** Linux 6.16. */
const PAGE_IS_GUARD = 1n << 8n;
/** Nothing of a process lies above. */
const USER_SPACE_END = 0x7fff_ffff_f000n;

/** Ranges asked for in one call. */
const BATCH = 4096;
/** `struct page_region`: start, end, categories. One for all calls: a process may have 65,530 mappings to ask about. */
const regions = new BigUint64Array(3 * BATCH);

function scanByIoctl(fd: number, start: bigint, end: bigint): PageRange[] {
  const ranges: PageRange[] = [];
  const categories: Categories = {
    inverted: PAGE_IS_PFNZERO, // not the page of zeros,
    all: PAGE_IS_PFNZERO,
    any: PAGE_IS_PRESENT | PAGE_IS_SWAPPED, // and one of these
    told: PAGE_IS_FILE,
  };
  scan(fd, start, end, categories, (from, to, told) =>
    append(ranges, from, to, (told & PAGE_IS_FILE) !== 0n),
  );
  return ranges;
}

/**
 * Lists the guard pages of a process (MADV_GUARD_INSTALL of madvise(2)), which no mapping tells of. None where the
 * kernel cannot say.
 * @param fd - descriptor of /proc/PID/pagemap.
 */
export function scanGuards(fd: number): { start: bigint; end: bigint }[] {
  const ranges: PageRange[] = [];
  const categories: Categories = { inverted: 0n, all: PAGE_IS_GUARD, any: 0n, told: PAGE_IS_GUARD };
  try {
    scan(fd, 0n, USER_SPACE_END, categories, (start, end) => append(ranges, start, end, false));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTTY' && code !== 'EINVAL') throw error;
  }
  return ranges.map(({ start, end }) => ({ start, end }));
}

/** Masks of categories of pages: those that are turned round first, all and any that a page must have, those to tell. */
interface Categories {
  readonly inverted: bigint;
  readonly all: bigint;
  readonly any: bigint;
  readonly told: bigint;
}

/** @throws ENOTTY before Linux 6.7, EINVAL for categories that the kernel does not know */
function scan(
  fd: number,
  start: bigint,
  end: bigint,
  { inverted, all, any, told }: Categories,
  take: (start: bigint, end: bigint, told: bigint) => void,
): void {
  for (let at = start, count = BATCH; at < end && count === BATCH; ) {
    const argument = BigUint64Array.of(
      96n, // size of this structure
      0n,
      at,
      end,
      0n, // walk_end, filled in; on 6.18 it can lie before the last range, so it is of no use
      addon.address(regions),
      BigInt(BATCH),
      0n, // any number of pages
      inverted,
      all,
      any,
      told,
    );
    count = Number(addon.syscall(16, fd, PAGEMAP_SCAN, new Uint8Array(argument.buffer)));
    for (let i = 0; i < count; i++) {
      take(regions[3 * i]!, regions[3 * i + 1]!, regions[3 * i + 2]!);
    }
    if (count > 0) at = regions[3 * count - 2]!;
  }
}

/** Words read at a time: 64 Ki, which stand for 256 MiB of addresses. */
const WORDS = 65536;
const ZEROS = Buffer.alloc(WORDS * 8);
/** Of the upper half of a word: bits 63 (present), 62 (swapped), 61 (file or shared). */
const EXISTS = 0xc0000000;
const FILE = 0x20000000;

/** As {@link scanPagemap}, from the 64-bit words of Documentation/admin-guide/mm/pagemap.rst. */
export function scanByWords(fd: number, start: bigint, end: bigint): PageRange[] {
  const ranges: PageRange[] = [];
  const buffer = Buffer.alloc(WORDS * 8);
  for (let at = start; at < end; ) {
    const pages = (end - at) / PAGE;
    const wanted = pages < WORDS ? Number(pages) * 8 : buffer.length;
    const count = readSync(fd, buffer, 0, wanted, at / 512n); // 8 bytes a page
    if (count === 0) break; // beyond the end of user addresses
    if (buffer.compare(ZEROS, 0, count, 0, count) !== 0) appendWords(ranges, buffer, count / 8, at);
    at += BigInt(count / 8) * PAGE;
  }
  return ranges;
}

function appendWords(ranges: PageRange[], buffer: Buffer, count: number, base: bigint): void {
  for (let first = 0; first < count; ) {
    const kind = kindOf(buffer, first);
    let last = first + 1;
    while (last < count && kindOf(buffer, last) === kind) last++;
    if (kind !== 0) append(ranges, base + BigInt(first) * PAGE, base + BigInt(last) * PAGE, kind === 2);
    first = last;
  }
}

/** 0: no page; 1: anonymous; 2: of a file or shared. */
function kindOf(buffer: Buffer, index: number): 0 | 1 | 2 {
  const upper = buffer.readUInt32LE(index * 8 + 4);
  if ((upper & EXISTS) === 0) return 0;
  return (upper & FILE) === 0 ? 1 : 2;
}

/** Adds a range; joins it with the last one if they touch and are of a kind. */
function append(ranges: PageRange[], start: bigint, end: bigint, file: boolean): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.end === start && last.file === file) {
    ranges[ranges.length - 1] = { start: last.start, end, file };
  } else {
    ranges.push({ start, end, file });
  }
}
