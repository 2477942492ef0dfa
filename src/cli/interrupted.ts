import { constants } from 'node:os';

/** A freeze has stopped because of a signal: the process is let go, and nothing is left behind. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}: the process goes on as it was, no image is written`);
    this.signal = signal;
  }
}

/** Ends this program by the signal that has interrupted it, so that a shell sees why. */
export function endBy(signal: NodeJS.Signals): void {
  process.exitCode = 128 + constants.signals[signal]; // should somebody block it
  process.kill(process.pid, signal);
}
