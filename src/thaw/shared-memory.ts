/**
 * Shared anonymous memory. It has no name by which it could be mapped twice, so it is made once, at
 * a place of its own, and each region becomes a further view of it: mremap(2) with an old size of
 * zero duplicates a shared mapping. Huge pages cannot be duplicated so: their regions, each of which shows
 * another part, are moved to their places.
 */
import { PAGE_SIZE } from '../page.js';
import type { MemoryObject, Process, Region } from '../snapshot/schema.js';
import { roundUp } from './addresses.js';
import { call, hugePages, MapFlag, Mremap, mapFixed, Prot, protect, show } from './calls.js';
import { pagesText } from './huge-pages.js';
import { type MemoryContext, planAdvice } from './memory.js';
import { Flag, type Op } from './program.js';

/** Whether any region shows shared anonymous memory, and how much room its first view needs. */
export function sharedMemoryRoom(process: Process): number {
  return Math.max(
    0,
    // Huge pages begin at multiples of their size.
    ...process.objects
      .filter(({ kind }) => kind === 'shared-anonymous')
      .map(({ size, pageSize }) => pages(size) + (pageSize > PAGE_SIZE ? pageSize : 0)),
  );
}

function pages(size: number): number {
  return Math.ceil(size / 4096) * 4096;
}

/** Operations for all such regions. `room` is a free range of `sharedMemoryRoom` bytes. */
export function planSharedMemory(process: Process, context: MemoryContext, room: bigint): Op[] {
  return process.objects.flatMap((object, index) =>
    object.kind === 'shared-anonymous'
      ? planObject(
          object,
          process.regions.filter((r) => r.backing.kind === 'object' && r.backing.object === index),
          context,
          room,
        )
      : [],
  );
}

function planObject(
  object: MemoryObject,
  regions: readonly Region[],
  context: MemoryContext,
  place: bigint,
): Op[] {
  const size = BigInt(pages(object.size));
  const huge = object.pageSize > PAGE_SIZE;
  const room = roundUp(place, BigInt(object.pageSize));
  const what = huge ? ` in ${pagesText(size, object.pageSize)}` : '';
  const label = `cannot make ${size} bytes of shared memory${what}`;
  const first = { start: room, end: room + size };
  const reserve = regions.every((region) => region.flags.includes('nr')) ? MapFlag.NORESERVE : 0;
  const ops: Op[] = [
    mapFixed(
      first,
      Prot.READ | Prot.WRITE,
      MapFlag.SHARED | MapFlag.ANONYMOUS | reserve | (huge ? hugePages(object.pageSize) : 0),
      -1,
      0,
      { label },
    ),
    ...object.extents.map(
      ({ start, size: length, offset }): Op => ({
        op: 'read',
        fd: context.image,
        address: room + start,
        size: length,
        offset: BigInt(offset),
        unless: Flag.CHECK,
        label,
        text: `pread64(${show(context.image)}, ${show(room + start)}, ${length}, ${offset})`,
      }),
    ),
  ];
  for (const region of regions) {
    const length = region.end - region.start;
    ops.push(
      call(
        'mremap',
        [room + region.offset, huge ? length : 0, length, Mremap.MAYMOVE | Mremap.FIXED, region.start],
        { label, check: { kind: 'equal', expected: region.start } },
      ),
    );
    if (region.prot !== (Prot.READ | Prot.WRITE)) ops.push(protect(region, region.prot, { label }));
    ops.push(...planAdvice(region));
  }
  ops.push(call('munmap', [room, size], { label }));
  return ops;
}
