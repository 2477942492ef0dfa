/** Memory of hugetlbfs: files without blocks on a disk, whose pages are huge and may be missing. */
import { fstatSync, readdirSync, readSync, statfsSync, statSync } from 'node:fs';
import { PAGE_SIZE } from '../page.js';
import type { Extent } from '../snapshot/schema.js';
import { HUGETLBFS_MAGIC } from './descriptors/file-systems.js';
import type { Mapping } from './maps.js';
import { deviceName } from './objects.js';

/** Of st_blocks, in bytes. */
const BLOCK = 512;
/** Read at a time where it has to be seen whether a page is empty. */
const CHUNK = 1 << 20;
const ZEROS = Buffer.alloc(CHUNK);

/** Whether a mapping is one of hugetlbfs: memory of devices may show large pages as well. */
export function isHuge({ flags }: Pick<Mapping, 'flags'>): boolean {
  return flags.includes('ht');
}

/** Size in bytes of the pages that an open file consists of. */
export function pageSizeOf(fd: number): number {
  const { type, bsize } = statfsSync(`/proc/self/fd/${fd}`);
  return type === HUGETLBFS_MAGIC ? bsize : PAGE_SIZE;
}

/** Why a file cannot be made again in pages of a size; `null` if it can. In huge ones fallocate(2) alone makes such a size. */
export function sizeProblem(size: number, pageSize: number): string | null {
  return pageSize === PAGE_SIZE || size % pageSize === 0
    ? null
    : `its size of ${size} bytes is no multiple of its pages of ${pageSize >> 10} kB`;
}

/**
 * Runs of pages with content, in whole pages; the file's offset is left alone. The kernel tells how many pages
 * there are, and not which: unless that is all or none of them, those are taken that are not all zeros.
 */
export function hugeExtents(fd: number, size: number, pageSize: number): Extent[] {
  const present = (fstatSync(fd).blocks * BLOCK) / pageSize;
  if (present * pageSize >= size) return size > 0 ? [{ start: 0n, size, offset: 0 }] : [];
  const extents: Extent[] = [];
  for (let at = 0, left = present; at < size && left > 0; at += pageSize) {
    if (isEmpty(fd, at, pageSize)) continue;
    left--;
    const last = extents.at(-1);
    if (last && Number(last.start) + last.size === at) last.size += pageSize;
    else extents.push({ start: BigInt(at), size: pageSize, offset: 0 });
  }
  return extents;
}

/** Reading a page that is missing does not make it. */
function isEmpty(fd: number, at: number, pageSize: number): boolean {
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (let done = 0; done < pageSize; ) {
    const got = readSync(fd, buffer, 0, Math.min(CHUNK, pageSize - done), at + done);
    if (got === 0) return true;
    if (buffer.compare(ZEROS, 0, got, 0, got) !== 0) return false;
    done += got;
  }
  return true;
}

/** The descriptor of a process through which what it maps can be opened, as its link; `null` if it has none. */
export function linkOfMapped(pid: number, { device, inode }: Mapping): string | null {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`);
  return (
    links.find((link) => {
      const stat = statSync(link, { bigint: true, throwIfNoEntry: false });
      return stat?.ino === inode && deviceName(stat.dev) === device;
    }) ?? null
  );
}

/** Whether parts of an object are mapped more than once. */
export function isSeenTwice(views: readonly Mapping[]): boolean {
  const sorted = [...views].sort((one, other) => Number(one.offset - other.offset));
  return sorted.some(({ offset }, i) => {
    const before = sorted[i - 1];
    return before !== undefined && offset < before.offset + (before.end - before.start);
  });
}
