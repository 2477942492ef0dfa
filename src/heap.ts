/** Keeps this program small: what a phase of work leaves behind is collected before the next begins. */
import { memoryUsage } from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Below this the heap and the buffers that hang on it are left to grow as they like, in bytes. */
const SMALL = 40 << 20;

let collect: (() => void) | null = null;

/** Collects garbage between two phases if there may be much of it. Takes some ten milliseconds then. */
export function relieveHeap(): void {
  const { heapUsed, external } = memoryUsage();
  if (heapUsed + external < SMALL) return;
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
