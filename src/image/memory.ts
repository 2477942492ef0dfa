import { fileSource } from '../elf/source.js';
import { ImageError } from '../errors.js';
import type { Process, Region, Snapshot } from '../snapshot/schema.js';
import { openRegular } from './open.js';
import type { Image } from './read.js';

/**
 * Memory of a frozen process, from its image. What was never touched reads as zeros.
 * @param size bytes, all within regions whose content is in the image
 * @param index of the process
 * @throws ImageError if the address was not mapped, or its content is not in the image
 */
export async function readMemory(
  image: Image,
  address: bigint,
  size: number,
  index = 0,
): Promise<Uint8Array> {
  const process = image.snapshot.processes[index];
  if (!process) throw new ImageError(`${image.path}: there is no process number ${index}`);
  const file = await openRegular(image.path);
  try {
    const source = fileSource(file.fd);
    if (source.size !== image.size) throw new ImageError(`${image.path} has changed since it was read`);
    const out = new Uint8Array(size);
    let at = address;
    const end = address + BigInt(size);
    while (at < end) {
      const region = process.regions.find((r) => r.start <= at && at < r.end);
      if (!region) throw new ImageError(`${image.path}: nothing was mapped at 0x${at.toString(16)}`);
      const stop = region.end < end ? region.end : end;
      for (const run of runsOf(process, region, image.path)) {
        let from = run.start;
        let to = run.end;
        if (from < at) from = at;
        if (to > stop) to = stop;
        if (from < to) {
          const bytes = source.read(run.offset + Number(from - run.start), Number(to - from));
          out.set(bytes, Number(from - address));
        }
      }
      at = stop;
    }
    return out;
  } finally {
    await file.close();
  }
}

/** Runs of a region's content: addresses, and the offset in the image. */
function runsOf(
  process: Process,
  region: Region,
  path: string,
): { start: bigint; end: bigint; offset: number }[] {
  const { backing } = region;
  if (backing.kind === 'file' || backing.kind === 'vvar') {
    throw new ImageError(`${path}: the content of ${region.path} is not in the image`);
  }
  const object = backing.kind === 'object' ? process.objects[backing.object] : undefined;
  const extents = object ? object.extents : region.extents;
  const base = object ? region.start - region.offset : 0n;
  return extents.map(({ start, size, offset }) => ({
    start: base + start,
    end: base + start + BigInt(size),
    offset,
  }));
}

/** @throws ImageError if some content would lie outside of the file of `fileSize` bytes */
export function checkExtentOffsets(snapshot: Snapshot, fileSize: number): void {
  for (const { regions, objects } of snapshot.processes) {
    for (const { extents } of [...regions, ...objects]) {
      for (const { offset, size } of extents) {
        if (offset + size > fileSize)
          throw new ImageError(`the image is damaged: content at offset ${offset} lies behind its end`);
      }
    }
  }
}
