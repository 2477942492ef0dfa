import { formatSize } from '../../image/sizes.js';
import { permissions } from '../../names.js';
import { PAGE_SIZE } from '../../page.js';
import type { Extent, Process } from '../../snapshot/schema.js';
import { escapeText } from './escape.js';
import type { Style } from './style.js';
import { table } from './table.js';

/** Bytes of content in the image. */
export function bytesInFile(extents: readonly Extent[]): number {
  return extents.reduce((sum, { size }) => sum + size, 0);
}

/** The regions of a process, and its memory objects. */
export function* regionLines(process: Process, style: Style): Generator<string> {
  const { regions, objects } = process;
  const total = [...regions, ...objects].reduce((sum, { extents }) => sum + bytesInFile(extents), 0);
  yield '';
  yield style.heading(`Regions (${regions.length}; ${formatSize(total)} in the image)`);
  yield* table(
    regions.map((region) => [
      `${hex(region.start)}-${hex(region.end)}`,
      formatSize(region.end - region.start),
      permissions(region.prot, region.shared),
      region.backing.kind,
      formatSize(bytesInFile(region.extents)),
      escapeText(region.path),
    ]),
    [1, 4],
  );
  if (objects.length === 0) return;
  yield '';
  yield style.heading(`Memory objects (${objects.length})`);
  yield* table(
    objects.map(({ kind, name, size, pageSize, extents }, i) => [
      String(i),
      pageSize > PAGE_SIZE ? `${kind} in pages of ${formatSize(pageSize)}` : kind,
      formatSize(size),
      formatSize(bytesInFile(extents)),
      escapeText(name),
    ]),
    [0, 2, 3],
  );
}

function hex(address: bigint): string {
  return address.toString(16).padStart(12, '0');
}
