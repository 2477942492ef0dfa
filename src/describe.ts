/**
 * The half of a freeze that needs the process no more: how it will be thawed, and all of the image
 * but the contents. It is loaded apart from the other half, see `freeze.ts`.
 */
import { relieveHeap } from './heap.js';
import { type AssembledImage, assembleImage } from './image/assemble.js';
import type { ImageCopy } from './image/layout.js';
import type { Snapshot } from './snapshot/schema.js';
import { type Blob, planImage } from './thaw/plan.js';

/**
 * Plans and assembles the image of a snapshot.
 * @param copies what is copied into it, to the places that `placeContents` gave
 * @throws UnsupportedError, ImageError
 */
export function describeImage(snapshot: Snapshot, blob: Blob, copies: ImageCopy[]): AssembledImage {
  relieveHeap();
  const plan = planImage(snapshot, blob, relieveHeap);
  relieveHeap();
  return assembleImage({ ...plan.layout, copies }, plan.snapshot, relieveHeap);
}
