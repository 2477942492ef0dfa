/**
 * How long a sleeping thread has yet to sleep. The kernel tells nobody when a timeout ends, but
 * `/proc/PID/task/TID/sched` says when the thread last ran: since then it has slept. It is read
 * before the thread is stopped, for the stop wakes it.
 */
import { readFileSync } from 'node:fs';
import { decodeRegisters } from '../snapshot/registers.js';
import type { Thread } from '../snapshot/schema.js';
import { remainderPointer, timeoutArgument } from '../thaw/sleep.js';
import { callState } from './resume.js';

/** What was seen of a thread before it was stopped. */
export interface SleepHint {
  /** Number of the system call it was blocked in. */
  readonly number: number;
  /** Nanoseconds that it had been asleep. */
  readonly elapsed: bigint;
}

/** Notes for each thread how long it has been blocked; threads that run, or of which nothing is said, are left out. */
export function observeSleeps(pid: number, tids: readonly number[]): Map<number, SleepHint> {
  const hints = new Map<number, SleepHint>();
  for (const tid of tids) {
    try {
      const number = Number.parseInt(readFileSync(`/proc/${pid}/task/${tid}/syscall`, 'utf8'), 10);
      if (!(number >= 0)) continue;
      const since = execStart(`/proc/${pid}/task/${tid}/sched`);
      const now = execStart('/proc/self/sched');
      hints.set(tid, { number, elapsed: now > since ? now - since : 0n });
    } catch {
      // No such thread any more, or a kernel without CONFIG_SCHED_DEBUG: the full timeout is used.
    }
  }
  return hints;
}

/** `se.exec_start`, milliseconds with six digits, in nanoseconds. */
function execStart(path: string): bigint {
  const match = /^se\.exec_start\s*:\s*(\d+)\.(\d{6})/m.exec(readFileSync(path, 'utf8'));
  if (!match) throw new Error(`no se.exec_start in ${path}`);
  return BigInt(match[1]!) * 1_000_000n + BigInt(match[2]!);
}

/**
 * The sleep of a stopped thread, if it is in one with a relative timeout.
 * @param registers as at the stop
 * @param readMemory reads the target's memory
 * @param total the whole timeout in ns where it is not the one in the registers (a sleep resumed before)
 */
export function remainingSleep(
  registers: Uint8Array,
  hint: SleepHint | undefined,
  readMemory: (address: bigint, size: number) => Buffer,
  total: bigint | null,
): Thread['sleep'] {
  const set = decodeRegisters(registers);
  const state = callState(set);
  if (state !== 'restart-block' && state !== 'restart' && state !== 'interrupted') return null;
  const number = Number(set.orig_rax);
  const argument = timeoutArgument(number, registers);
  if (!argument) return null;
  const value = set[argument.register];
  try {
    const remainder = remainderPointer(number, registers);
    if (state === 'restart-block' && remainder !== 0n) {
      return { number, remaining: timespec(readMemory(remainder, 16)) };
    }
    const whole =
      total ??
      (argument.kind === 'milliseconds'
        ? BigInt.asIntN(32, value) * 1_000_000n
        : timespec(readMemory(value, 16)));
    const elapsed = hint?.number === number ? hint.elapsed : 0n;
    return { number, remaining: whole > elapsed ? whole - elapsed : 0n };
  } catch {
    return null; // the pointer is bad: the call fails by itself as it would have
  }
}

function timespec(bytes: Buffer): bigint {
  return bytes.readBigInt64LE(0) * 1_000_000_000n + bytes.readBigInt64LE(8);
}
