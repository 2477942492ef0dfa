/** Signals by which a person or a machine asks a command to stop, while it has something to put away. */
import { constants } from 'node:os';
import { addon } from '../native/addon.js';
import { Interrupted } from './interrupted.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const SYS_RT_SIGACTION = 13;
/** The kernel's `struct sigaction` of x86-64: handler, flags, restorer, mask, 8 bytes each. */
const SIGACTION_SIZE = 32;
const FLAGS_OFFSET = 8;
const SIGSET_SIZE = 8;
const SA_RESETHAND = 0x8000_0000n;

/**
 * Does `work`, and aborts what it is given at the first SIGINT, SIGTERM or SIGHUP; the reason is an
 * {@link Interrupted}. The second one ends this program at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = (signal: NodeJS.Signals): void => {
    stopListening();
    controller.abort(new Interrupted(signal));
  };
  const stopListening = (): void => {
    for (const signal of SIGNALS) process.off(signal, abort);
  };
  for (const signal of SIGNALS) {
    process.on(signal, abort);
    handleOnce(constants.signals[signal]);
  }
  try {
    return await work(controller.signal);
  } finally {
    stopListening();
  }
}

/** Node.js can run `abort` only between two calls, and some take seconds: the second signal needs no Node.js. */
function handleOnce(number: number): void {
  const action = new Uint8Array(SIGACTION_SIZE);
  addon.syscall(SYS_RT_SIGACTION, number, 0, action, SIGSET_SIZE);
  const view = new DataView(action.buffer);
  view.setBigUint64(FLAGS_OFFSET, view.getBigUint64(FLAGS_OFFSET, true) | SA_RESETHAND, true);
  addon.syscall(SYS_RT_SIGACTION, number, action, 0, SIGSET_SIZE);
}
