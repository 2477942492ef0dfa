/** Memory in huge pages (hugetlbfs): of such pages a machine has as many as were set aside for it. */
import { PAGE_SIZE } from '../page.js';
import type { Process, Region } from '../snapshot/schema.js';
import { merge, type Range } from './addresses.js';
import { call, hugePages, MapFlag, Prot } from './calls.js';
import { Flag, type Op } from './program.js';

/** `3 huge pages of 2048 kB (see /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)`, for messages. */
export function pagesText(size: number | bigint, pageSize: number): string {
  const kilobytes = pageSize / 1024;
  const count = Math.ceil(Number(size) / pageSize);
  const setting = `/sys/kernel/mm/hugepages/hugepages-${kilobytes}kB/nr_hugepages`;
  return `${count} huge page${count === 1 ? '' : 's'} of ${kilobytes} kB (see ${setting})`;
}

/** For `--check`: takes as many huge pages as will be needed. */
export function planHugePageTest({ regions, objects }: Pick<Process, 'regions' | 'objects'>): Op[] {
  const sizes = new Map<number, bigint>();
  const add = (pageSize: number, size: bigint): void => {
    if (pageSize > PAGE_SIZE && size > 0n) sizes.set(pageSize, (sizes.get(pageSize) ?? 0n) + size);
  };
  objects.forEach(({ pageSize, extents }, index) => {
    const views = regions.filter(
      ({ backing, shared }) => backing.kind === 'object' && backing.object === index && shared,
    );
    const reserved = views
      .filter(isReserved)
      .map(({ start, end, offset }) => ({ start: offset, end: offset + (end - start) }));
    add(pageSize, sizeOf([...extents.map(rangeOf), ...reserved]));
  });
  for (const region of regions) {
    if (region.shared) continue;
    add(
      region.pageSize,
      isReserved(region) ? region.end - region.start : sizeOf(region.extents.map(rangeOf)),
    );
  }
  return [...sizes].map(([pageSize, size]) =>
    call(
      'mmap',
      [0, size, Prot.READ | Prot.WRITE, MapFlag.SHARED | MapFlag.ANONYMOUS | hugePages(pageSize), -1, 0],
      { when: Flag.CHECK, label: `cannot get ${pagesText(size, pageSize)}` },
    ),
  );
}

/** Unless it was mapped with MAP_NORESERVE, mapping it takes pages for all of it. */
function isReserved({ flags }: Region): boolean {
  return !flags.includes('nr');
}

function rangeOf({ start, size }: { start: bigint; size: number }): Range {
  return { start, end: start + BigInt(size) };
}

function sizeOf(ranges: readonly Range[]): bigint {
  return merge(ranges).reduce((sum, { start, end }) => sum + (end - start), 0n);
}
