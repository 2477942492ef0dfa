/**
 * Pages of a file in memory (memfd, tmpfs) that have no content, and yet are there: fallocate(2) has set them aside, so
 * that no lack of memory can keep the program from writing there. SEEK_DATA takes them for holes.
 */
import { fstatSync, statfsSync } from 'node:fs';
import { cachedPages } from '../native/syscalls.js';
import { PAGE_SIZE } from '../page.js';
import type { Extent, MemoryObject } from '../snapshot/schema.js';
import { TMPFS_MAGIC } from './descriptors/file-systems.js';
import type { ObjectSource } from './objects.js';
import { errnoOf } from './read.js';

type Reserved = NonNullable<MemoryObject['reserved']>;
interface Range {
  readonly start: bigint;
  readonly end: bigint;
}
/** How many pages of a range are there; see {@link cachedPages}. */
type Count = typeof cachedPages;
/** What is not in the image. */
interface Loss {
  readonly bytes: number;
  readonly why: string;
}

/** Of st_blocks, in bytes. */
const BLOCK = 512;
const PAGE = BigInt(PAGE_SIZE);
/** The kernel is not asked more often than that about a file, as the process is stopped meanwhile. */
const MOST_QUESTIONS = 32_768;
/** Where a file of any size has ended. */
const LAST = 1n << 63n;

class TooManyPlaces extends Error {}

/** What a look at a file has not found, by the extents that it was made with: the image has no place for it. */
const losses = new WeakMap<readonly Extent[], Loss | null>();

/**
 * Runs of such pages outside of the extents, ascending, in bytes; those behind the end of the file are among them.
 * {@link reserveWarnings} tells of those that were not found.
 * @param extents its content, as the image has it: the holes in them are filled
 * @param data bytes of whole pages with content, which are less where extents were joined
 */
export function reservedPages(
  fd: number,
  extents: readonly Extent[],
  data: number,
  count: Count = cachedPages,
): Reserved {
  const missing = missingBytes(fd, data);
  losses.set(extents, null);
  if (missing === 0) return [];
  const runs: { start: bigint; end: bigint }[] = [];
  try {
    search(fd, extents, missing / PAGE_SIZE, runs, count);
  } catch (error) {
    const why = reasonOf(error);
    if (why === null) throw error;
    losses.set(extents, { bytes: missing - sizeOf(runs), why });
  }
  return runs.map(({ start, end }) => ({ start, size: Number(end - start) }));
}

/** Adds to `runs`. @throws TooManyPlaces; what `ask` throws */
function search(
  fd: number,
  extents: readonly Extent[],
  missing: number,
  runs: { start: bigint; end: bigint }[],
  ask: Count,
): void {
  let left = missing;
  let questions = 0;
  const count = (start: bigint, end: bigint | null): number => {
    if (++questions > MOST_QUESTIONS) throw new TooManyPlaces();
    return ask(fd, start, end);
  };
  // Pages that others take or give back meanwhile make the numbers differ.
  const split = (start: bigint, end: bigint, pages: number): void => {
    if (pages <= 0) return;
    if (BigInt(pages) * PAGE >= end - start) {
      left -= pages;
      const before = runs.at(-1);
      if (before?.end === start) before.end = end;
      else runs.push({ start, end });
      return;
    }
    const middle = start + ((end - start) / PAGE / 2n) * PAGE;
    const first = count(start, middle);
    split(start, middle, first);
    split(middle, end, pages - first);
  };
  // A question takes as long as there are pages to count: so it is not put for all of them again and again.
  const walk = (start: bigint, end: bigint | null): void => {
    const last = end ?? LAST;
    let pages = count(start, end);
    if (BigInt(pages) * PAGE >= last - start) {
      split(start, last, pages);
      return;
    }
    let at = start;
    for (let width = PAGE; pages > 0 && at < last; width *= 2n) {
      const next = at + width < last ? at + width : last;
      const here = next < last ? count(at, next) : pages;
      split(at, next, here);
      pages -= here;
      at = next;
    }
  };
  const size = BigInt(roundUp(fstatSync(fd).size));
  for (const { start, end } of holesOf(extents, size)) {
    if (left <= 0) return;
    walk(start, end);
  }
  if (left > 0) walk(size, null);
}

/** Why places are not known; `null` for errors that are not the kernel's. */
function reasonOf(error: unknown): string | null {
  if (error instanceof TooManyPlaces) return 'they are in too many places to look for all of them';
  switch (errnoOf(error)) {
    case undefined:
      return null;
    case 'ENOSYS':
      return 'the kernel does not tell where (cachestat, Linux 6.5)';
    case 'EPERM':
      return 'the kernel tells where only to its owner and to who may write to it (cachestat)';
    default:
      return `the kernel does not tell where (cachestat: ${errnoOf(error)})`;
  }
}

/** What is lost as it is not known where it is. */
export function reserveWarnings(
  objects: readonly MemoryObject[],
  sources: readonly ObjectSource[],
): string[] {
  return objects.flatMap((object, index) => {
    const { kind, name, pageSize } = object;
    if (kind === 'shared-anonymous' || pageSize > PAGE_SIZE) return [];
    const found = losses.get(object.extents);
    const loss = found === undefined ? unseenLoss(object, sources[index]!.fd) : found;
    if (loss === null || loss.bytes <= 0) return [];
    const what = kind === 'memfd' ? 'memfd' : 'file';
    return [
      `the ${what} ${name} has ${loss.bytes} bytes set aside (fallocate) that it has not in the image: ${loss.why}`,
    ];
  });
}

/** Of a file in which nobody has looked for them. */
function unseenLoss({ extents, reserved = [] }: MemoryObject, fd: number): Loss {
  const bytes = missingBytes(fd, wholePages(extents) + wholePages(reserved));
  return { bytes, why: 'it could not be opened to look for them' };
}

/** How much memory a file takes beside what is known. */
function missingBytes(fd: number, known: number): number {
  if (statfsSync(`/proc/self/fd/${fd}`).type !== TMPFS_MAGIC) return 0;
  return Math.max(0, fstatSync(fd).blocks * BLOCK - known);
}

/** Bytes of the pages that hold such runs. */
export function wholePages(runs: readonly { readonly size: number }[]): number {
  return runs.reduce((sum, { size }) => sum + roundUp(size), 0);
}

function sizeOf(runs: readonly Range[]): number {
  return runs.reduce((sum, { start, end }) => sum + Number(end - start), 0);
}

function roundUp(size: number): number {
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}

/** What lies between extents, and between them and the end of the file, which is at a whole page here. */
function* holesOf(extents: readonly Extent[], end: bigint): Generator<Range> {
  let at = 0n;
  for (const { start, size } of extents) {
    if (start > at) yield { start: at, end: start };
    at = start + BigInt(roundUp(size));
  }
  if (end > at) yield { start: at, end };
}
