/** Memory that shows the rings of packet sockets. */
import { BLOCK } from '../packet-ring.js';
import type { DescriptorTable } from '../snapshot/descriptors.js';
import { type PacketRing, ringRange } from '../snapshot/packet-ring.js';
import type { Extent, Region } from '../snapshot/schema.js';

/**
 * Gives the regions that show rings their content: blocks that are the program's, and its own room in all others.
 * @param problems takes regions that show memory of a socket that is not carried
 */
export function followRings(
  regions: readonly Region[],
  { files }: DescriptorTable,
  problems: string[],
): Region[] {
  const rings = files.flatMap((file) => (file.kind === 'packet' && file.ring ? [file.ring] : []));
  return regions.map((region): Region => {
    if (region.backing.kind !== 'ring') return region;
    const ring = rings.find((candidate) => {
      const { start, end } = ringRange(candidate);
      return region.start >= start && region.end <= end;
    });
    if (!ring) {
      const range = `${region.start.toString(16)}-${region.end.toString(16)}`;
      problems.push(`the memory at ${range} ${region.path} is that of a socket that is not carried`);
      return region;
    }
    return { ...region, extents: contentOf(ring, region) };
  });
}

function contentOf(ring: PacketRing, { start, end }: Region): Extent[] {
  const size = BigInt(ring.blockSize);
  const waiting = new Set(ring.waiting);
  const extents: Extent[] = [];
  for (let block = Number((start - ring.address) / size); block < ring.blockCount; block++) {
    const at = ring.address + BigInt(block) * size;
    if (at >= end) break;
    const first = waiting.has(block) ? at : at + BigInt(BLOCK.size);
    const last = waiting.has(block) ? at + size : first + BigInt(ring.privateSize);
    const from = first > start ? first : start;
    const to = last < end ? last : end;
    if (to > from) extents.push({ start: from, size: Number(to - from), offset: 0 });
  }
  return extents;
}
