/** How damage of a snapshot is told. */
import { ImageError } from '../../errors.js';

/** @param where the place that makes no sense @throws ImageError */
export function fail(where: string, what: string): never {
  throw new ImageError(`the snapshot is damaged: ${where}: ${what}`);
}

/** @throws ImageError where a list has nothing at an index */
export function requireIndex(index: number, list: readonly unknown[], where: string): void {
  if (index >= list.length) fail(where, `there is no number ${index}`);
}
