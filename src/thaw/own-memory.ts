/** The memory that thawing itself needs, behind the content of the thaw data segment. */
import type { Process } from '../snapshot/schema.js';
import { PAGE } from './addresses.js';
import { planTrampoline } from './finish.js';

const THREAD_STACK = 8192n;
const STACK = 65536n;
const PARKING = 32n * PAGE;

/** Bytes of the thaw data segment behind its content: no file bytes, only memory. */
export interface OwnMemory {
  /** Stacks of the spawned threads while they set themselves up: top of each, in the order of the threads. */
  readonly threadStacks: readonly bigint[];
  readonly stackTop: bigint;
  readonly parking: bigint;
  readonly parkingSize: bigint;
  readonly trampoline: bigint;
  readonly end: bigint;
}

/** Lays out the memory behind the content of the thaw data segment. */
export function memoryAt(start: bigint, process: Process): OwnMemory {
  let cursor = start;
  const threadStacks = process.threads.slice(1).map(() => {
    cursor += THREAD_STACK;
    return cursor;
  });
  cursor += STACK;
  const stackTop = cursor;
  const parking = cursor;
  cursor += PARKING;
  const trampoline = cursor;
  cursor += BigInt(planTrampoline(process.threads).size);
  return { threadStacks, stackTop, parking, parkingSize: PARKING, trampoline, end: cursor };
}
