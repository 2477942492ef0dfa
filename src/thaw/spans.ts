/** How the populated runs of a region lie in the image file. */
import type { Extent } from '../snapshot/schema.js';
import { PAGE, type Range, roundUp } from './addresses.js';

/** A stretch of a region that lies in the file without a break; its holes are holes of the file. */
export interface Span extends Range {
  /** Offset in the image file. */
  readonly offset: number;
}

/** A hole smaller than this is carried along in the file rather than starting a new span. */
const SMALLEST_GAP = 256n << 10n;

/**
 * Packs extents into spans, the first at file offset `offset`, and gives each extent its place.
 * @returns the spans, the extents with offsets, and the first free offset behind
 */
export function packExtents(
  extents: readonly Extent[],
  offset: number,
): { spans: Span[]; extents: Extent[]; end: number } {
  const spans: { start: bigint; end: bigint; offset: number }[] = [];
  const placed: Extent[] = [];
  let next = offset;
  for (const { start, size } of extents) {
    const from = start & ~(PAGE - 1n);
    const to = roundUp(start + BigInt(size));
    let span = spans.at(-1);
    if (span && from - span.end < SMALLEST_GAP) {
      span.end = to;
    } else {
      span = { start: from, end: to, offset: next };
      spans.push(span);
    }
    next = span.offset + Number(span.end - span.start);
    placed.push({ start, size, offset: span.offset + Number(start - span.start) });
  }
  return { spans, extents: placed, end: next };
}

/** The longest span: the one that gets a program header. */
export function longestSpan(spans: readonly Span[]): Span | undefined {
  let longest: Span | undefined;
  for (const span of spans) {
    if (!longest || span.end - span.start > longest.end - longest.start) longest = span;
  }
  return longest;
}
