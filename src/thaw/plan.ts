/**
 * The planner: a pure function from a snapshot to an image layout and its thaw programs. It runs
 * twice, first at a provisional address to learn how large the thaw segments are.
 */
import { UnsupportedError } from '../errors.js';
import type { Process, Region, Snapshot } from '../snapshot/schema.js';
import { findPlace, PAGE, roundUp } from './addresses.js';
import { Arena } from './arena.js';
import { type Blob, textSize as sizeOfText } from './blob.js';
import { countSegments, type Files, isLoadable, packFiles, withPlaces } from './contents.js';
import { finishLayout, type PlannedLayout, type Segment, type ThawSegments } from './image-layout.js';
import type { PlacedRegion } from './memory.js';
import { memoryAt } from './own-memory.js';
import { planPrograms } from './programs.js';
import { longestSpan, type Span } from './spans.js';

export type { Blob } from './blob.js';

/** A plan: the layout without what is to be copied, and the snapshot with every extent's place in the file. */
export interface Plan {
  readonly layout: PlannedLayout;
  readonly snapshot: Snapshot;
}

/** Any address will do to learn the sizes, if it has as many digits as those that will be. */
const TRIAL = 0x7ff0_0000_0000n;
/** Room for texts that turn out a little longer than in the trial. */
const SLACK = 16n * PAGE;

/**
 * Plans the image of a snapshot.
 * @param between called between the two passes, which leave much garbage
 * @throws UnsupportedError if the address space has no room for the thaw segments
 */
export function planImage(snapshot: Snapshot, blob: Blob, between: () => void = () => {}): Plan {
  const process = snapshot.processes[0]!;
  const segmentCount = countSegments(process);
  const files = packFiles(process, sizeOfText(blob));
  const textSize = BigInt(sizeOfText(blob));
  const { room, size } = measure(textSize, process, files, snapshot);
  const place = placeThaw(process, files.regions, size);
  between();
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
    room,
  );
  return {
    layout: finishLayout(built, blob, files, chosen.segments),
    snapshot: withPlaces(snapshot, files),
  };
}

/** The trial: sizes of the data segment's content and of the thaw segments. Of the trial itself nothing stays. */
function measure(textSize: bigint, process: Process, files: Files, snapshot: Snapshot) {
  const { room, memory } = build(TRIAL, textSize, process, files, snapshot, [], null);
  return { room, size: memory.end - TRIAL + room };
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
): ThawSegments {
  const data = text + textSize;
  const placed = { ...process, objects: files.objects };
  // The texts of operations hold addresses, so the content's size depends on where the memory
  // behind it lies: the trial tells it nearly, and the room is widened should it not suffice.
  for (let room = firstRoom ?? 0n; ; ) {
    const arena = new Arena(data, firstRoom === null ? undefined : Number(room));
    const memory = memoryAt(data + room, process);
    const header = planPrograms(arena, snapshot, placed, files.regions, memory, text, segments);
    const needed = roundUp(BigInt(arena.size));
    if (firstRoom === null) return { text, textSize, arena, memory, header, data, room: needed + SLACK };
    if (needed <= room) return { text, textSize, arena, memory, header, data, room };
    room = needed + SLACK;
  }
}
