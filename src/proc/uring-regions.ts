/** Memory that shows an io_uring. */
import type { DescriptorTable } from '../snapshot/descriptors.js';
import type { Region } from '../snapshot/schema.js';

/**
 * Gives the regions that show an io_uring their content.
 * @param problems takes regions that show one that is not carried
 */
export function followUrings(
  regions: readonly Region[],
  { files }: DescriptorTable,
  problems: string[],
): Region[] {
  const views = new Set(
    files.flatMap((file) => (file.kind === 'uring' ? file.ring.views.map(({ address }) => address) : [])),
  );
  return regions.map((region): Region => {
    if (region.backing.kind !== 'uring') return region;
    const { start, end, path } = region;
    if (!views.has(start)) {
      problems.push(
        `the memory at ${start.toString(16)}-${end.toString(16)} ${path} is part of an io_uring, or that of one that is not carried`,
      );
      return region;
    }
    return { ...region, extents: [{ start, size: Number(end - start), offset: 0 }] };
  });
}
