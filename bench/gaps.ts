/** Programs that say when they could not run; see `target.c`. */
import { Running } from '../test/e2e/harness/running.js';
import type { Bench } from './place.js';

/** Size of a target. */
export interface TargetSize {
  readonly bytes?: number;
  readonly regions?: number;
  readonly threads?: number;
  readonly descriptors?: number;
}

/** A stretch of CLOCK_MONOTONIC in nanoseconds. */
interface Gap {
  readonly from: number;
  readonly to: number;
}

/** Whatever is started here and has not ended. */
const alive = new Set<Running>();

/** Ends everything that still runs. */
export async function endAll(): Promise<void> {
  for (const running of [...alive]) await end(running);
}

/** Ends one of them. */
export async function end(running: Running): Promise<void> {
  await running.end();
  alive.delete(running);
}

/** Starts a target of the given size; returns once it is as large. */
export async function startTarget(bench: Bench, size: TargetSize): Promise<Running> {
  const { bytes = 0, regions = 0, threads = 0, descriptors = 0 } = size;
  const args = [bytes, regions, threads, descriptors].map(String);
  const running = new Running(bench.helper('target'), args, { cwd: '/' });
  alive.add(running);
  await running.ready();
  return running;
}

/**
 * Runs something that holds a target.
 * @returns the longest time that the target did not run, in milliseconds
 */
export async function longestGap(running: Running, action: () => Promise<unknown>): Promise<number> {
  const before = running.stdout.length;
  await action();
  // What it says as it goes on may take a moment to arrive.
  await new Promise((resolve) => setTimeout(resolve, 20));
  const gaps = parseGaps(running.stdout.slice(before));
  return Math.max(0, ...gaps.map(({ from, to }) => to - from)) / 1e6;
}

/** Waits until the line after `exec` that tells of the time since; then ends the program. Milliseconds. */
export async function timeToGoOn(bench: Bench, command: string, args: readonly string[]): Promise<number> {
  const running = new Running(bench.helper('launch'), [command, ...args], { cwd: '/' });
  alive.add(running);
  try {
    const started = Number(/^exec (\d+)$/.exec(await running.line())?.[1]);
    for (;;) {
      const gap = parseGaps(await running.line())[0];
      if (gap && gap.from < started && gap.to > started) return (gap.to - started) / 1e6;
    }
  } finally {
    await end(running);
  }
}

function parseGaps(text: string): Gap[] {
  return [...text.matchAll(/^gap (\d+) (\d+)$/gm)].map(([, from, to]) => ({
    from: Number(from),
    to: Number(to),
  }));
}
