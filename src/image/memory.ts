import { bytesSource, fileSource, type Source } from '../elf/source.js';
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
      for (const run of runsOf(process, region, source)) {
        let from = run.start;
        let to = run.start + BigInt(run.size);
        if (from < at) from = at;
        if (to > stop) to = stop;
        if (from >= to) continue;
        const offset = run.offset + Number(from - run.start);
        out.set(run.source.read(offset, Number(to - from)), Number(from - address));
      }
      at = stop;
    }
    return out;
  } finally {
    await file.close();
  }
}

/** Content of a region: `size` bytes for `start`, to be found at `offset` of `source`. */
interface Run {
  readonly start: bigint;
  readonly size: number;
  readonly source: Source;
  readonly offset: number;
}

function runsOf(process: Process, region: Region, source: Source): Run[] {
  const { backing, start, path } = region;
  switch (backing.kind) {
    case 'file':
    case 'vvar':
      throw new ImageError(`the content of ${path} at 0x${start.toString(16)} is not in the image`);
    case 'vdso':
      return [{ start, size: backing.image.length, source: bytesSource(backing.image), offset: 0 }];
    case 'object': {
      const extents = process.objects[backing.object]?.extents ?? [];
      const base = start - region.offset;
      const shown = extents.map((extent) => ({ ...extent, start: base + extent.start, source }));
      // Its own copies over what it shows.
      return [...shown, ...region.extents.map((extent) => ({ ...extent, source }))];
    }
    case 'anonymous':
    case 'image':
    case 'image-shared':
    case 'ring':
    case 'aio':
    case 'uring':
      return region.extents.map((extent) => ({ ...extent, source }));
  }
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
