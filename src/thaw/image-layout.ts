/** The layout of an image once everything in it has its address: segments, sections, thaw content. */
import { type ImageLayout, THAW_DATA, THAW_TEXT } from '../image/layout.js';
import { sectionNames } from '../image/section-names.js';
import type { Region } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import type { Blob } from './blob.js';
import type { Files } from './contents.js';
import type { PlacedRegion } from './memory.js';
import type { OwnMemory } from './own-memory.js';
import { longestSpan, type Span } from './spans.js';

/** A layout without what is to be copied. */
export type PlannedLayout = Omit<ImageLayout, 'copies'>;

/** A span that gets a `PT_LOAD`, at `vaddr`. */
export interface Segment {
  readonly vaddr: bigint;
  readonly span: Span;
  readonly region: Region;
}

/** The thaw segments: addresses in the image, sizes in bytes. */
export interface ThawSegments {
  readonly text: bigint;
  readonly textSize: bigint;
  readonly data: bigint;
  /** Of the content of the data segment, which `memory` follows. */
  readonly room: bigint;
  readonly arena: Arena;
  /** Address of the thaw header, in `arena`. */
  readonly header: bigint;
  readonly memory: OwnMemory;
}

const PF = { X: 1, W: 2, R: 4 } as const;

/** Lays out the image: the interpreter, the chosen segments, then the thaw programs behind all contents. */
export function finishLayout(
  { text, textSize, arena, memory, header, data, room }: ThawSegments,
  blob: Blob,
  files: Files,
  chosen: readonly Segment[],
): PlannedLayout {
  const code = Buffer.alloc(Number(textSize));
  code.set(blob.bytes);
  code.writeBigUInt64LE(header, blob.headerAddress);
  const dataBytes = arena.toBytes(Number(room));
  const { textOffset, end: dataOffset } = files;
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
    sizeAt: textOffset + blob.imageSize,
    end: dataOffset + dataBytes.length,
  };
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
