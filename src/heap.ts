/** Keeps this program small: what a phase of work leaves behind is collected before the next begins. */
import { memoryUsage } from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Below this the heap is left to grow as it likes, in bytes. */
const SMALL = 40 << 20;

let collect: (() => void) | null = null;

/** Collects garbage between two phases if there may be much of it. Takes some ten milliseconds then. */
export function relieveHeap(): void {
  if (memoryUsage().heapUsed < SMALL) return;
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
