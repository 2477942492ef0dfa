/** Figures of several rounds, and how they are written. */

/** The median; of an even number, the mean of the middle two. @throws RangeError for none */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('the median of nothing');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** `152 ms (149–180)`: the median with the smallest and the largest, from milliseconds. */
export function milliseconds(values: readonly number[]): string {
  return `${short(median(values))} ms (${short(Math.min(...values))}–${short(Math.max(...values))})`;
}

/** `64 MiB`, from bytes. */
export function mebibytes(bytes: number): string {
  return bytes % GIB === 0 ? `${bytes / GIB} GiB` : `${Math.round(bytes / MIB)} MiB`;
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2);
}

export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
