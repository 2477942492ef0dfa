/** Memory objects in huge pages: hugetlbfs knows no write(2), so that content comes in by a mapping. */
import type { MemoryObject } from '../../snapshot/schema.js';
import { call, hugePages, MapFlag, Prot, show } from '../calls.js';
import { pagesText } from '../huge-pages.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';

/** Of memfd_create(2). */
export const MFD_HUGETLB = 4;

/** Flags of memfd_create(2) for pages of a size, in bytes; those for the size are the same as of mmap(2). */
export function hugeFlags(pageSize: number): number {
  return (hugePages(pageSize) & ~MapFlag.HUGETLB) | MFD_HUGETLB;
}

/**
 * Copies the content from the image. Mapping it reserves the pages, so that a lack of them is an error here rather
 * than a SIGBUS.
 * @param label `cannot make the memfd cache`
 */
export function fillHuge(
  { extents, pageSize }: Pick<MemoryObject, 'extents' | 'pageSize'>,
  fd: number,
  label: string,
  bench: Bench,
): Op[] {
  return extents.flatMap(({ start, size, offset }): Op[] => {
    const view = bench.arena.cell();
    return [
      call('mmap', [0, size, Prot.READ | Prot.WRITE, MapFlag.SHARED, fd, start], {
        label: `${label}: no ${pagesText(size, pageSize)}`,
        result: view,
        text: `mmap(NULL, ${size}, PROT_READ|PROT_WRITE, MAP_SHARED, ${fd}, ${start})`,
      }),
      {
        op: 'read',
        fd: bench.imageFd,
        address: view,
        size,
        offset: BigInt(offset),
        label,
        text: `pread64(${show(bench.imageFd)}, ${show(view)}, ${size}, ${offset})`,
      },
      call('munmap', [view, size], { label }),
    ];
  });
}
