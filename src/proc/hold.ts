/** Stopping a process at a moment at which it can be captured. */
import { setTimeout as pause } from 'node:timers/promises';
import { TargetError } from '../errors.js';
import type { ThreadState, Tracer } from '../native/tracer.js';
import { decodeRegisters } from '../snapshot/registers.js';
import type { Leftover } from './leftovers.js';

/**
 * A thread still runs code that an earlier freeze, whose tracer was killed, has left in the process; or it was asked
 * for by {@link tryLater}.
 */
class Unsettled extends Error {
  /** Milliseconds to let it run. */
  readonly pause: number;
  /** How much it still has to do; `undefined` where that is not counted. */
  readonly left: number | undefined;

  constructor(pause = PAUSE_MS, left?: number) {
    super();
    this.pause = pause;
    this.left = left;
  }
}

/** The way back that such a thread is on takes some microseconds. */
const PAUSE_MS = 2;
const ATTEMPTS = 500;
/** In this time a program reads what waits for it, if it does so at all. */
export const TURN_MS = 50;
/** So often, and so long, the process is given the time to get out of what cannot be captured by itself. */
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
 * Lets the process run for a moment. For a thread in the vDSO: should the tracer be killed while it drives it step by
 * step, the next trap would end the process, and most of the time a thread is somewhere else. For what a program does
 * away with itself: events that it has not read yet cannot be captured.
 * @param pause milliseconds
 * @param left how much it still has to do: if that does not become less, the next attempt is the last one
 * @throws to {@link whenSettled}
 */
export function tryLater(pause?: number, left?: number): never {
  throw new Unsettled(pause, left);
}

/**
 * Does `attempt`, which seizes and captures the process; lets the process go and does it again for as long
 * as {@link assertSettled} says so. `patient`: it may ask for another attempt by {@link tryLater}.
 */
export async function whenSettled<T>(
  tracer: Tracer,
  pid: number,
  attempt: (patient: boolean) => T,
): Promise<T> {
  const begun = performance.now();
  let least = Number.POSITIVE_INFINITY;
  let hopeless = false;
  for (let i = 0; i < ATTEMPTS; i++) {
    let unsettled: Unsettled;
    try {
      return attempt(!hopeless && i < PATIENT_ATTEMPTS && performance.now() - begun < PATIENCE_MS);
    } catch (error) {
      if (!(error instanceof Unsettled)) throw error;
      unsettled = error;
    }
    const { left } = unsettled;
    hopeless = left !== undefined && left >= least;
    least = Math.min(least, left ?? least);
    tracer.release('run');
    await pause(unsettled.pause);
  }
  throw new TargetError(
    `process ${pid} does not get out of what an earlier freeze, which was killed, has left in it: let it run (SIGCONT) and try again`,
  );
}
