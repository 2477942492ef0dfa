import { PN_XNUM } from '../elf/constants.js';
import { EHDR_SIZE, PHDR_SIZE } from '../elf/write.js';
import { PAGE_SIZE } from '../page.js';

/** Most `PT_LOAD`s of an image. The kernel takes 64 KiB of program headers, 1170; some stay free. */
export const MAX_SEGMENTS = 1160;

/** Names of the sections that hold the interpreter, and its programs and data. */
export const THAW_TEXT = '.thaw.text';
export const THAW_DATA = '.thaw.data';

/** A `PT_LOAD`. */
export interface ImageSegment {
  /** Where the kernel maps it. */
  vaddr: bigint;
  /** Where it was in the frozen process; differs from `vaddr` for a staged region. */
  paddr: bigint;
  /** Page-aligned, as is `vaddr`. */
  offset: number;
  filesz: number;
  memsz: number;
  /** `PF_R`, `PF_W`, `PF_X`. */
  flags: number;
}

/** A section header: a region, or a part of the thaw segments. */
export interface ImageSection {
  name: string;
  /** Where the kernel's loader puts it: in its segment's `vaddr`; the region's own address if no segment has it. */
  address: bigint;
  offset: number;
  size: number;
  writable: boolean;
  executable: boolean;
  /** None of it is in the file. */
  nobits: boolean;
}

/** Bytes that the writer has in hand: thaw text, thaw data. */
export interface ImageChunk {
  offset: number;
  bytes: Uint8Array;
}

/** A run to copy from a descriptor: `/proc/PID/mem`, or a file. */
export interface ImageCopy {
  fd: number;
  /** Offset in what `fd` is. */
  source: bigint;
  size: number;
  /** In the image. */
  offset: number;
}

/**
 * Where everything lies in an image. Program headers come first, contents follow from
 * {@link contentOffset} on, and notes, section names and section headers go behind `end`.
 */
export interface ImageLayout {
  entry: bigint;
  /** In ascending order of `vaddr`, at most {@link MAX_SEGMENTS}. */
  segments: ImageSegment[];
  /** One per region, then {@link THAW_TEXT} and {@link THAW_DATA}. */
  sections: ImageSection[];
  chunks: ImageChunk[];
  copies: ImageCopy[];
  /** Where, in a chunk, the image tells its own size, as a 64-bit word. */
  sizeAt: number;
  /** End of the contents in the file. */
  end: number;
}

/** Program headers beside the `PT_LOAD`s: `PT_NOTE`, `PT_GNU_STACK`. */
export const EXTRA_PROGRAM_HEADERS = 2;

/** First offset in the file that is free for contents, for a given number of `PT_LOAD`s; page-aligned. */
export function contentOffset(segmentCount: number): number {
  return pageUp(EHDR_SIZE + (segmentCount + EXTRA_PROGRAM_HEADERS) * PHDR_SIZE);
}

/** `value` rounded up to whole pages. */
export function pageUp(value: number): number {
  return Math.ceil(value / PAGE_SIZE) * PAGE_SIZE;
}

/**
 * Checks what the kernel and the writer rely on.
 * @throws RangeError naming the first violation: a mistake of the planner, not of the user
 */
export function checkLayout(layout: ImageLayout): void {
  const { segments, sections, chunks, copies, end } = layout;
  if (segments.length > MAX_SEGMENTS) throw new RangeError(`${segments.length} segments`);
  if (sections.length >= PN_XNUM * 16) throw new RangeError(`${sections.length} sections`);
  const first = contentOffset(segments.length);
  let previous = 0n;
  segments.forEach((segment, i) => {
    const place = `segment ${i} at 0x${segment.vaddr.toString(16)}`;
    if (segment.vaddr < previous) throw new RangeError(`${place} overlaps the one before it`);
    previous = segment.vaddr + BigInt(segment.memsz);
    if (segment.offset % PAGE_SIZE !== 0 || segment.vaddr % BigInt(PAGE_SIZE) !== 0n) {
      throw new RangeError(`${place} is not page-aligned`);
    }
    if (segment.filesz > segment.memsz) throw new RangeError(`${place} has more in the file than in memory`);
    if (segment.filesz > 0) requireContent(place, segment.offset, segment.filesz);
  });
  for (const { offset, bytes } of chunks) requireContent('chunk', offset, bytes.length);
  for (const { offset, size } of copies) requireContent('copy', offset, size);
  for (const section of sections) {
    if (!section.nobits) requireContent(`section ${section.name}`, section.offset, section.size);
  }

  function requireContent(what: string, offset: number, size: number): void {
    if (offset < first || offset + size > end) {
      throw new RangeError(`${what}: ${size} bytes at ${offset} are outside of ${first}..${end}`);
    }
  }
}
