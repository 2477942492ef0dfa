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
interface Hole {
  readonly start: bigint;
  /** `null`: nothing is behind it, not even the end of the file. */
  readonly end: bigint | null;
}

/** Of st_blocks, in bytes. */
const BLOCK = 512;
const PAGE = BigInt(PAGE_SIZE);
/** More runs than that are not looked for, as the process is stopped meanwhile. */
const MOST_RUNS = 4096;
/** Where a file of any size has ended. */
const LAST = (1n << 63n) - PAGE;

/**
 * Runs of such pages, ascending, in bytes; those behind the end of the file are among them. None where the kernel does
 * not tell them, which {@link reserveWarnings} does then.
 * @param extents its content
 */
export function reservedPages(fd: number, extents: readonly Extent[]): Reserved {
  const missing = missingBytes(fd, extents, []);
  if (missing === 0) return [];
  const runs: { start: bigint; end: bigint }[] = [];
  let left = missing / PAGE_SIZE;
  const look = (start: bigint, end: bigint | null): void => {
    if (left === 0 || runs.length > MOST_RUNS || start === end) return;
    const count = cachedPages(fd, start, end);
    if (count === 0) return;
    const last = end ?? LAST;
    if (BigInt(count) * PAGE === last - start) {
      left -= count;
      const before = runs.at(-1);
      if (before?.end === start) before.end = last;
      else runs.push({ start, end: last });
      return;
    }
    const middle = start + ((last - start) / PAGE / 2n) * PAGE;
    look(start, middle);
    look(middle, end);
  };
  try {
    for (const { start, end } of holesOf(extents)) look(start, end);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return [];
  }
  return runs.length > MOST_RUNS ? [] : runs.map(({ start, end }) => ({ start, size: Number(end - start) }));
}

/** What is lost as the kernel does not tell where it is. */
export function reserveWarnings(
  objects: readonly MemoryObject[],
  sources: readonly ObjectSource[],
): string[] {
  return objects.flatMap(({ kind, name, pageSize, extents, reserved = [] }, index) => {
    if (kind === 'shared-anonymous' || pageSize > PAGE_SIZE) return [];
    const missing = missingBytes(sources[index]!.fd, extents, reserved);
    if (missing === 0) return [];
    const what = kind === 'memfd' ? 'memfd' : 'file';
    return [
      `the ${what} ${name} has ${missing} bytes set aside (fallocate) that it has not in the image: the kernel does not tell where (cachestat, Linux 6.5)`,
    ];
  });
}

/** How much memory a file takes beside what is known. */
function missingBytes(fd: number, extents: readonly Extent[], reserved: Reserved): number {
  if (statfsSync(`/proc/self/fd/${fd}`).type !== TMPFS_MAGIC) return 0;
  const known = [...extents, ...reserved].reduce((sum, { size }) => sum + roundUp(size), 0);
  return Math.max(0, fstatSync(fd).blocks * BLOCK - known);
}

function roundUp(size: number): number {
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}

function* holesOf(extents: readonly Extent[]): Generator<Hole> {
  let at = 0n;
  for (const { start, size } of extents) {
    if (start > at) yield { start: at, end: start };
    at = start + BigInt(roundUp(size));
  }
  yield { start: at, end: null };
}
