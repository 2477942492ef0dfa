/** Keeps this program small: what a phase of work leaves behind is collected before the next begins. */
import { memoryUsage } from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { addon } from './native/addon.js';

/** Below this the heap and the buffers that hang on it are left to grow as they like, in bytes. */
const SMALL = 24 << 20;

/**
 * Within a phase less than this since the last collection is not worth another, in bytes; nor less than half of what was
 * left then, as a collection takes as long as there is left.
 */
const STEP = 8 << 20;

/** What was left by the last collection, in bytes. */
let live = 0;

let collect: (() => void) | null = null;

/** Collects garbage between two phases if there may be much of it. Takes some ten milliseconds then. */
export function relieveHeap(): void {
  if (inUse() >= SMALL) collectGarbage();
}

/** Collects garbage between two parts of a long phase if there is likely to be much of it. */
export function relieveHeapWithin(): void {
  if (inUse() >= Math.max(SMALL, live + Math.max(STEP, live / 2))) collectGarbage();
}

function collectGarbage(): void {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  addon.returnFreed();
  live = inUse();
}

function inUse(): number {
  const { heapUsed, external } = memoryUsage();
  return heapUsed + external;
}
