/**
 * The planner: a pure function from a snapshot to an image layout and its thaw programs. It runs
 * twice, first at a provisional address to learn how large the thaw segments are.
 */
import { UnsupportedError } from '../errors.js';
import { contentOffset, type ImageLayout, MAX_SEGMENTS, THAW_DATA, THAW_TEXT } from '../image/layout.js';
import { sectionNames } from '../image/section-names.js';
import type { MemoryObject, Process, Region, Snapshot } from '../snapshot/schema.js';
import { findPlace, PAGE, roundUp } from './addresses.js';
import { Arena } from './arena.js';
import { planTrampoline } from './finish.js';
import type { PlacedRegion } from './memory.js';
import { planPrograms } from './programs.js';
import { longestSpan, packExtents, type Span } from './spans.js';

/** The interpreter blob, and where it wants the address of its header. */
export interface Blob {
  readonly bytes: Uint8Array;
  readonly entry: number;
  readonly headerAddress: number;
}

/** A plan: the layout without what is to be copied, and the snapshot with every extent's place in the file. */
export interface Plan {
  readonly layout: Omit<ImageLayout, 'copies'>;
  readonly snapshot: Snapshot;
}

/** Bytes of the thaw data segment behind its content: no file bytes, only memory. */
export interface Memory {
  /** Stacks of the spawned threads while they set themselves up: top of each, in the order of the threads. */
  readonly threadStacks: readonly bigint[];
  readonly stackTop: bigint;
  readonly parking: bigint;
  readonly parkingSize: bigint;
  readonly trampoline: bigint;
  readonly end: bigint;
}

const THREAD_STACK = 8192n;
const STACK = 65536n;
const PARKING = 32n * PAGE;
/** Bytes of the file left out between regions that touch. */
const HOLE = 4096;
/** Any address will do to learn the sizes, if it has as many digits as those that will be. */
const TRIAL = 0x7ff0_0000_0000n;
/** Room for texts that turn out a little longer than in the trial. */
const SLACK = 16n * PAGE;
const PF = { X: 1, W: 2, R: 4 } as const;

/**
 * The part of the plan that copying needs: the snapshot with every extent's place in the file, and the
 * end of the last. {@link planImage} of the same snapshot, which takes longer, chooses the same places.
 */
export function placeContents(snapshot: Snapshot): { readonly snapshot: Snapshot; readonly end: number } {
  const files = packFiles(snapshot.processes[0]!);
  return { snapshot: withPlaces(snapshot, files), end: files.end };
}

/** Plans the image of a snapshot. @throws UnsupportedError if the address space has no room for the thaw segments */
export function planImage(snapshot: Snapshot, blob: Blob): Plan {
  const process = snapshot.processes[0]!;
  const segmentCount = countSegments(process);
  const files = packFiles(process);
  const textSize = roundUp(BigInt(blob.bytes.length));
  const trial = build(TRIAL, textSize, process, files, snapshot, [], null);
  const place = placeThaw(process, files.regions, trial.memory.end - TRIAL + trial.room);
  const chosen = chooseSegments(files.regions, place, segmentCount - 2);
  const text = chosen.end;
  const placed = files.regions.map((region) => ({
    ...region,
    loaded: chosen.loaded.get(region.region) ?? null,
  }));
  const built = build(
    text,
    textSize,
    process,
    { ...files, regions: placed },
    snapshot,
    chosen.segments,
    trial.room,
  );
  return finishLayout(built, blob, text, textSize, files, chosen.segments, snapshot);
}

interface Files {
  readonly regions: PlacedRegion[];
  readonly objects: MemoryObject[];
  readonly end: number;
}

/** Regions whose content can be a `PT_LOAD`. */
function isLoadable(region: Region): boolean {
  return ['anonymous', 'image', 'image-shared', 'vdso'].includes(region.backing.kind);
}

/** How many `PT_LOAD`s there will be: the thaw segments are two of them. */
function countSegments({ regions }: Process): number {
  const loadable = regions.filter((region) => isLoadable(region) && region.extents.length > 0);
  return Math.min(loadable.length + 2, MAX_SEGMENTS);
}

/** Gives every region's and object's content its place in the file. */
function packFiles(process: Process): Files {
  let end = contentOffset(countSegments(process));
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
  return { regions, objects, end };
}

/** Finds room for the thaw segments, and before them for all regions that would lie above them. */
function placeThaw(process: Process, regions: readonly PlacedRegion[], size: bigint): bigint {
  let staged = 0n;
  for (;;) {
    const place = findPlace(process.regions, size + staged);
    if (place === null) {
      throw new UnsupportedError([
        `process ${process.pid} leaves no free range of ${size + staged} bytes in its address space`,
      ]);
    }
    const needed = stagedSize(regions, place);
    if (needed <= staged) return place;
    staged = needed;
  }
}

function stagedSize(regions: readonly PlacedRegion[], place: bigint): bigint {
  return regions.reduce((sum, { spans }) => {
    const span = longestSpan(spans);
    return span && span.end > place ? sum + (span.end - span.start) : sum;
  }, 0n);
}

interface Segment {
  readonly vaddr: bigint;
  readonly span: Span;
  readonly region: Region;
}

/**
 * Chooses a `PT_LOAD` for the longest span of each region. What lies above `place` (the process's
 * stack among it) is linked at `place` and behind instead, below the thaw segments.
 */
function chooseSegments(regions: readonly PlacedRegion[], place: bigint, most: number) {
  const segments: Segment[] = [];
  const loaded = new Map<Region, Span>();
  let end = place;
  for (const { region, spans } of regions) {
    const span = longestSpan(spans);
    if (!span || !isLoadable(region) || segments.length >= most) continue;
    const staged = span.end > place;
    segments.push({ vaddr: staged ? end : span.start, span, region });
    if (staged) end += span.end - span.start;
    // The loader makes private mappings only, and the vDSO is the kernel's own or made anew.
    else if (!['image-shared', 'vdso'].includes(region.backing.kind)) loaded.set(region, span);
  }
  return { segments, loaded, end };
}

function build(
  text: bigint,
  textSize: bigint,
  process: Process,
  files: Files,
  snapshot: Snapshot,
  segments: readonly Segment[],
  /** `null` for the trial, which is for the size alone. */
  firstRoom: bigint | null,
) {
  const data = text + textSize;
  const placed = { ...process, objects: files.objects };
  // The texts of operations hold addresses, so the content's size depends on where the memory
  // behind it lies: the trial tells it nearly, and the room is widened should it not suffice.
  for (let room = firstRoom ?? 0n; ; ) {
    const arena = new Arena(data);
    const memory = memoryAt(data + room, process);
    const header = planPrograms(arena, snapshot, placed, files.regions, memory, text, segments);
    const needed = roundUp(BigInt(arena.size));
    if (firstRoom === null) return { arena, memory, header, data, room: needed + SLACK };
    if (needed <= room) return { arena, memory, header, data, room };
    room = needed + SLACK;
  }
}

/** Lays out the memory behind the content of the thaw data segment. */
function memoryAt(start: bigint, process: Process): Memory {
  let cursor = start;
  const threadStacks = process.threads.slice(1).map(() => {
    cursor += THREAD_STACK;
    return cursor;
  });
  cursor += STACK;
  const stackTop = cursor;
  const parking = cursor;
  cursor += PARKING;
  const trampoline = cursor;
  cursor += BigInt(planTrampoline(process.threads).size);
  return { threadStacks, stackTop, parking, parkingSize: PARKING, trampoline, end: cursor };
}

function finishLayout(
  built: ReturnType<typeof build>,
  blob: Blob,
  text: bigint,
  textSize: bigint,
  files: Files,
  chosen: readonly Segment[],
  snapshot: Snapshot,
): Plan {
  const { arena, memory, header, data, room } = built;
  const code = Buffer.alloc(Number(textSize));
  code.set(blob.bytes);
  code.writeBigUInt64LE(header, blob.headerAddress);
  const dataBytes = Buffer.alloc(Number(room));
  dataBytes.set(arena.toBytes());
  const textOffset = files.end;
  const dataOffset = textOffset + code.length;
  const segments = [
    ...chosen.map(({ vaddr, span, region }) => ({
      vaddr,
      paddr: span.start,
      offset: span.offset,
      filesz: Number(span.end - span.start),
      memsz: Number(span.end - span.start),
      flags: (region.prot & 1 ? PF.R : 0) | (region.prot & 2 ? PF.W : 0) | (region.prot & 4 ? PF.X : 0),
    })),
    {
      vaddr: text,
      paddr: text,
      offset: textOffset,
      filesz: code.length,
      memsz: code.length,
      flags: PF.R | PF.X,
    },
    {
      vaddr: data,
      paddr: data,
      offset: dataOffset,
      filesz: dataBytes.length,
      memsz: Number(memory.end - data),
      flags: PF.R | PF.W,
    },
  ].sort((a, b) => (a.vaddr < b.vaddr ? -1 : 1));
  const names = sectionNames(files.regions.map(({ region }) => region));
  return {
    layout: {
      entry: text + BigInt(blob.entry),
      segments,
      sections: [
        ...files.regions.map((placed, i) => sectionOf(placed, names[i]!, chosen)),
        section(THAW_TEXT, text, textOffset, code.length, false, true),
        section(THAW_DATA, data, dataOffset, dataBytes.length, true, false),
      ],
      chunks: [
        { offset: textOffset, bytes: code },
        { offset: dataOffset, bytes: dataBytes },
      ],
      end: dataOffset + dataBytes.length,
    },
    snapshot: withPlaces(snapshot, files),
  };
}

function withPlaces(snapshot: Snapshot, { regions, objects }: Files): Snapshot {
  const process = {
    ...snapshot.processes[0]!,
    regions: regions.map(({ region, extents }) => ({ ...region, extents: [...extents] })),
    objects,
  };
  return { ...snapshot, processes: [process, ...snapshot.processes.slice(1)] };
}

function section(
  name: string,
  address: bigint,
  offset: number,
  size: number,
  writable: boolean,
  executable: boolean,
) {
  return { name, address, offset, size, writable, executable, nobits: false };
}

/** The section of a region: its span in a segment, else its longest span, else only its address. */
function sectionOf({ region, spans }: PlacedRegion, name: string, segments: readonly Segment[]) {
  const span = longestSpan(spans);
  const segment = segments.find((candidate) => candidate.region === region);
  const common = { name, writable: (region.prot & 2) !== 0, executable: (region.prot & 4) !== 0 };
  if (!span) {
    return {
      ...common,
      address: region.start,
      offset: 0,
      size: Number(region.end - region.start),
      nobits: true,
    };
  }
  const address = segment?.vaddr ?? span.start;
  return { ...common, address, offset: span.offset, size: Number(span.end - span.start), nobits: false };
}
