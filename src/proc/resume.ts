/**
 * With which registers a thread goes on that was stopped inside a system call: as the kernel itself
 * would have restarted it (kernel/signal.c and arch/x86/kernel/signal.c, `arch_do_signal_or_restart`).
 */
import { decodeRegisters, encodeRegisters, type RegisterSet } from '../snapshot/registers.js';
import type { Thread } from '../snapshot/schema.js';

/** errno of a call that a signal ended, `asm-generic/errno-base.h`. */
export const EINTR = 4n;
const ERESTARTSYS = 512n;
const ERESTARTNOINTR = 513n;
const ERESTARTNOHAND = 514n;
const ERESTART_RESTARTBLOCK = 516n;
/** Length of the `syscall` instruction. */
const SYSCALL_LENGTH = 2n;

/** The signal that would be delivered first when the thread goes on, if any. */
export interface Deliverable {
  /** A handler will run (neither default nor ignored). */
  handled: boolean;
  /** SA_RESTART. */
  restarts: boolean;
}

/** How a stopped thread stands to the system call it is in. */
export type CallState = 'none' | 'restart' | 'restart-block' | 'interrupted' | 'done';

/** Reads from the registers whether the stop interrupted a system call, and how the kernel means to go on. */
export function callState(set: RegisterSet): CallState {
  const number = BigInt.asIntN(64, set.orig_rax);
  if (number < 0n) return 'none';
  switch (-BigInt.asIntN(64, set.rax)) {
    case ERESTARTSYS:
    case ERESTARTNOINTR:
    case ERESTARTNOHAND:
      return 'restart';
    case ERESTART_RESTARTBLOCK:
      return 'restart-block';
    case EINTR:
      return 'interrupted';
    default:
      return 'done';
  }
}

/**
 * What a handler that runs makes of the call: EINTR `always`, or `unless-restart`, which is SA_RESTART;
 * `null` if there is no call, or it is made again whatever comes.
 */
export function interruption(bytes: Uint8Array): Thread['interruption'] {
  const set = decodeRegisters(bytes);
  const state = callState(set);
  if (state === 'none' || state === 'done') return null;
  const error = -BigInt.asIntN(64, set.rax);
  return error === ERESTARTNOINTR ? null : error === ERESTARTSYS ? 'unless-restart' : 'always';
}

/**
 * The registers that the thawed thread starts with. A call that was only interrupted by our stop
 * stands again before its `syscall` instruction; where a signal with a handler is about to be
 * delivered, the call ends with EINTR as it would have.
 */
export function resumeRegisters(bytes: Uint8Array, deliverable: Deliverable | null): Uint8Array {
  const set = decodeRegisters(bytes);
  const state = callState(set);
  if (state === 'restart' || state === 'restart-block' || state === 'interrupted') {
    const ends = interruption(bytes);
    if (deliverable?.handled && ends !== null && !(ends === 'unless-restart' && deliverable.restarts)) {
      set.rax = -EINTR;
    } else {
      set.rip -= SYSCALL_LENGTH;
      set.rax = set.orig_rax;
    }
  }
  set.orig_rax = -1n;
  return encodeRegisters(set);
}
