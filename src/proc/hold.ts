/** Stopping a process at a moment at which it can be captured. */
import { setTimeout as pause } from 'node:timers/promises';
import { TargetError } from '../errors.js';
import type { ThreadState, Tracer } from '../native/tracer.js';
import { decodeRegisters } from '../snapshot/registers.js';
import type { Leftover } from './leftovers.js';

/**
 * A thread still runs code that an earlier freeze, whose tracer was killed, has left in the process; or it is in the
 * vDSO, and it is early yet to drive it out.
 */
class Unsettled extends Error {}

/** The way back that such a thread is on takes some microseconds. */
const PAUSE_MS = 2;
const ATTEMPTS = 500;
/** So often, and so long, threads are given the time to leave the vDSO by themselves. */
const PATIENT_ATTEMPTS = 30;
const PATIENCE_MS = 500;

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
 * Should the tracer be killed while it drives a thread step by step, the next trap would end the process: most of the
 * time a thread is somewhere else.
 * @throws to {@link whenSettled}
 */
export function tryLater(): never {
  throw new Unsettled();
}

/**
 * Does `attempt`, which seizes and captures the process; lets the process go and does it again for as long
 * as {@link assertSettled} says so. `patient`: it may ask for another attempt for the sake of the vDSO.
 */
export async function whenSettled<T>(
  tracer: Tracer,
  pid: number,
  attempt: (patient: boolean) => T,
): Promise<T> {
  const begun = performance.now();
  for (let i = 0; i < ATTEMPTS; i++) {
    try {
      return attempt(i < PATIENT_ATTEMPTS && performance.now() - begun < PATIENCE_MS);
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
