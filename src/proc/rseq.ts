/**
 * What the kernel keeps in a thread's rseq area (linux/rseq.h): the processor that it runs on, its
 * memory node, its concurrency id. Our own query makes the thread run and so changes them; they mean
 * nothing to another run, as the thaw registers the area again. In an image they are zero. So is the
 * pointer to the critical section, which the kernel clears when it takes a thread out of it.
 */
import type { ImageCopy } from '../image/layout.js';
import type { Thread } from '../snapshot/schema.js';

/** Offsets of `cpu_id_start`, `cpu_id` and `rseq_cs`, and of `node_id` and `mm_cid`. */
const FIELDS: readonly (readonly [number, number])[] = [
  [0, 16],
  [20, 28],
];

/** The kernel's own fields of all areas: ascending ranges of addresses. */
function kernelFields(threads: readonly Thread[]): { start: bigint; end: bigint }[] {
  return threads
    .flatMap(({ rseq }) =>
      rseq
        ? FIELDS.filter(([, end]) => end <= rseq.length).map(([start, end]) => ({
            start: rseq.address + BigInt(start),
            end: rseq.address + BigInt(end),
          }))
        : [],
    )
    .sort((a, b) => (a.start < b.start ? -1 : 1));
}

/**
 * Leaves the kernel's fields out of what is copied from memory.
 * @param copies runs of memory, ascending
 * @param zeros descriptor of `/dev/zero`, from which they are copied instead
 */
export function blankRseq(
  copies: readonly ImageCopy[],
  threads: readonly Thread[],
  zeros: number,
): ImageCopy[] {
  const fields = kernelFields(threads);
  if (fields.length === 0) return [...copies];
  const result: ImageCopy[] = [];
  for (const copy of copies) {
    const end = copy.source + BigInt(copy.size);
    let at = copy.source;
    const push = (fd: number, until: bigint): void => {
      const size = Number(until - at);
      if (size > 0) {
        result.push({
          fd,
          source: fd === zeros ? 0n : at,
          size,
          offset: copy.offset + Number(at - copy.source),
        });
      }
      at = until;
    };
    for (const field of within(fields, copy.source, end)) {
      push(copy.fd, field.start);
      push(zeros, field.end);
    }
    push(copy.fd, end);
  }
  return result;
}

/** The ranges that lie wholly in [start, end): by bisection, as there may be thousands of both. */
function within(ranges: readonly { start: bigint; end: bigint }[], start: bigint, end: bigint) {
  let low = 0;
  for (let high = ranges.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (ranges[middle]!.start < start) low = middle + 1;
    else high = middle;
  }
  let last = low;
  while (last < ranges.length && ranges[last]!.end <= end) last++;
  return ranges.slice(low, last);
}
