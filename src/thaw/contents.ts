/** Where the contents of regions and memory objects lie in the image file. */
import { contentOffset, MAX_SEGMENTS } from '../image/layout.js';
import type { MemoryObject, Process, Region, Snapshot } from '../snapshot/schema.js';
import { type Blob, textSize } from './blob.js';
import type { PlacedRegion } from './memory.js';
import { packExtents } from './spans.js';

/** Bytes of the file left out between regions that touch. */
const HOLE = 4096;

/** The contents of a process, each with its place, and the end of the last. */
export interface Files {
  /** Of the interpreter: in front of all contents, so that it is there to say so when the file is cut short. */
  readonly textOffset: number;
  readonly regions: PlacedRegion[];
  readonly objects: MemoryObject[];
  readonly end: number;
}

/** Regions whose content can be a `PT_LOAD`. */
export function isLoadable(region: Region): boolean {
  return ['anonymous', 'image', 'image-shared', 'vdso'].includes(region.backing.kind);
}

/** How many `PT_LOAD`s there will be: the thaw segments are two of them. */
export function countSegments({ regions }: Process): number {
  const loadable = regions.filter((region) => isLoadable(region) && region.extents.length > 0);
  return Math.min(loadable.length + 2, MAX_SEGMENTS);
}

/**
 * Gives every region's and object's content its place in the file.
 * @param textSize of the interpreter, in bytes
 */
export function packFiles(process: Process, textSize: number): Files {
  const textOffset = contentOffset(countSegments(process));
  let end = textOffset + textSize;
  let previous = 0n;
  const regions = process.regions.map((region) => {
    // Neighbours in memory must not be neighbours in the file: the kernel would make one mapping of both.
    if (region.start === previous && region.extents.length > 0) end += HOLE;
    previous = region.end;
    const packed = packExtents(region.extents, end);
    end = packed.end;
    return { region, extents: packed.extents, spans: packed.spans, loaded: null };
  });
  const objects = process.objects.map((object) => {
    const packed = packExtents(object.extents, end);
    end = packed.end;
    return { ...object, extents: packed.extents };
  });
  return { textOffset, regions, objects, end };
}

/**
 * The part of the plan that copying needs: the snapshot with every extent's place in the file, and the
 * end of the last. `planImage` of the same snapshot, which takes longer, chooses the same places.
 */
export function placeContents(
  snapshot: Snapshot,
  blob: Blob,
): { readonly snapshot: Snapshot; readonly end: number } {
  const files = packFiles(snapshot.processes[0]!, textSize(blob));
  return { snapshot: withPlaces(snapshot, files), end: files.end };
}

/** The snapshot with every extent's place in the file. */
export function withPlaces(snapshot: Snapshot, { regions, objects }: Files): Snapshot {
  const process = {
    ...snapshot.processes[0]!,
    regions: regions.map(({ region, extents }) => ({ ...region, extents: [...extents] })),
    objects,
  };
  return { ...snapshot, processes: [process, ...snapshot.processes.slice(1)] };
}
