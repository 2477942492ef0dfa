/** Stopping a process at a moment at which it can be captured. */
import { setTimeout as pause } from 'node:timers/promises';
import { TargetError } from '../errors.js';
import type { ThreadState, Tracer } from '../native/tracer.js';
import { decodeRegisters } from '../snapshot/registers.js';
import type { Leftover } from './leftovers.js';

/** A thread still runs code that an earlier freeze, whose tracer was killed, has left in the process. */
class Unsettled extends Error {}

/** The way back that such a thread is on takes some microseconds. */
const PAUSE_MS = 2;
const ATTEMPTS = 500;

/**
 * @param stray scratch mappings that were left behind, to be removed
 * @throws to {@link whenSettled} if a thread is within one
 */
export function assertSettled(states: readonly ThreadState[], stray: readonly Leftover[]): void {
  for (const { registers } of states) {
    const { rip } = decodeRegisters(registers);
    if (stray.some(({ start, end }) => rip >= start && rip < end)) throw new Unsettled();
  }
}

/**
 * Does `attempt`, which seizes and captures the process; lets the process go and does it again for as long
 * as {@link assertSettled} says so.
 */
export async function whenSettled<T>(tracer: Tracer, pid: number, attempt: () => T): Promise<T> {
  for (let i = 0; i < ATTEMPTS; i++) {
    try {
      return attempt();
    } catch (error) {
      if (!(error instanceof Unsettled)) throw error;
    }
    tracer.release('run');
    await pause(PAUSE_MS);
  }
  throw new TargetError(
    `process ${pid} does not get out of what an earlier freeze, which was killed, has left in it: let it run (SIGCONT) and try again`,
  );
}
