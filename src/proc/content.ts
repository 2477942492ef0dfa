/** Which bytes of the target's memory travel in the image. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { addon } from '../native/addon.js';
import { fcntlGetSeals, scanPagemap } from '../native/syscalls.js';
import { PAGE_SIZE } from '../page.js';
import type { Extent, MemoryObject, Region } from '../snapshot/schema.js';
import { hugeExtents, isHuge, pageSizeOf } from './huge-pages.js';
import type { Mapping } from './maps.js';
import { unlessRefused } from './read.js';
import { reservedPages, wholePages } from './reserved-pages.js';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const SYS_LSEEK = 8;
/** Runs closer than this are taken as one: fewer reads at thaw, at the cost of some pages of zeros. */
const COALESCE = 8n * 4096n;
const extent = (start: bigint, end: bigint): Extent => ({ start, size: Number(end - start), offset: 0 });

/** Merges runs with small gaps between them. */
export function coalesce(ranges: readonly { start: bigint; end: bigint }[]): Extent[] {
  const extents: { start: bigint; end: bigint }[] = [];
  for (const { start, end } of ranges) {
    const last = extents.at(-1);
    if (last && start - last.end <= COALESCE) {
      if (end > last.end) last.end = end;
    } else extents.push({ start, end });
  }
  return extents.map(({ start, end }) => extent(start, end));
}

/**
 * Populated runs of a private region.
 * @param pagemap descriptor of `/proc/PID/pagemap`
 */
export function regionExtents(pagemap: number, mapping: Mapping, backing: Region['backing']): Extent[] {
  switch (backing.kind) {
    case 'anonymous':
      return mapping.resident === 0 ? [] : coalesce(scanPagemap(pagemap, mapping.start, mapping.end));
    case 'object':
      return isHuge(mapping) && !mapping.shared ? ownCopies(pagemap, mapping) : [];
    case 'image':
    case 'image-shared':
    case 'aio':
    case 'vdso':
      return [extent(mapping.start, mapping.end)];
    default:
      return [];
  }
}

/** What a private mapping has copied, or made where its file has nothing. */
function ownCopies(pagemap: number, { resident, start, end }: Mapping): Extent[] {
  if (resident === 0) return [];
  return coalesce(scanPagemap(pagemap, start, end).filter(({ file }) => !file));
}

/** Opens what a region maps, through `/proc/PID/map_files`; `null` where that is not permitted. */
export function openMapped(pid: number, mapping: Mapping): number | null {
  const name = `${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
  try {
    return openSync(`/proc/${pid}/map_files/${name}`, 'r');
  } catch {
    return null;
  }
}

/** `F_SEAL_*` of an open file. Others than those of tmpfs and memfd know none. */
export function sealsOf(fd: number): number {
  return unlessRefused(() => fcntlGetSeals(fd), 0);
}

/** Pages and content of an open file. The offset is moved, unless the file is one of hugetlbfs. */
export function contentOf(fd: number): Pick<MemoryObject, 'size' | 'pageSize' | 'extents' | 'reserved'> {
  const { size } = fstatSync(fd);
  const pageSize = pageSizeOf(fd);
  if (pageSize > PAGE_SIZE) return { size, pageSize, extents: hugeExtents(fd, size, pageSize) };
  const runs = dataRuns(fd, size);
  const extents =
    runs.length > MOST_RUNS
      ? coalesce(runs.map(({ start, size }) => ({ start, end: start + BigInt(size) })))
      : runs;
  const reserved = reservedPages(fd, extents, wholePages(runs));
  return { size, pageSize, extents, ...(reserved.length > 0 ? { reserved } : {}) };
}

/** Holes of files are kept as they are, however small, up to so many. */
const MOST_RUNS = 4096;

/** Runs of data in an open file, by SEEK_DATA and SEEK_HOLE. `start` is the offset in the file. */
function dataRuns(fd: number, size: number): Extent[] {
  const runs: Extent[] = [];
  let position = 0n;
  while (position < BigInt(size)) {
    let data: bigint;
    try {
      data = addon.syscall(SYS_LSEEK, fd, position, SEEK_DATA);
    } catch {
      break; // ENXIO: no data behind
    }
    const hole = addon.syscall(SYS_LSEEK, fd, data, SEEK_HOLE);
    runs.push(extent(data, hole));
    position = hole;
  }
  return runs;
}

/** Closes descriptors, whatever becomes of one of them. */
export function closeAll(fds: Iterable<number>): void {
  for (const fd of fds) {
    try {
      closeSync(fd);
    } catch {
      // already closed
    }
  }
}
