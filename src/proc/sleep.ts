/**
 * How long a sleeping thread has yet to sleep. The kernel tells nobody when a timeout ends, but
 * `/proc/PID/task/TID/sched` says when the thread last ran: since then it has slept. It is read
 * before the thread is stopped, for the stop wakes it.
 */
import { readFileSync } from 'node:fs';
import { addon } from '../native/addon.js';
import { Clock, clockGettime, schedGetaffinity } from '../native/syscalls.js';
import type { ThreadState } from '../native/tracer.js';
import { decodeRegisters } from '../snapshot/registers.js';
import type { Thread } from '../snapshot/schema.js';
import { remainderPointer, timeoutArgument } from '../thaw/sleep.js';
import type { Mapping } from './maps.js';
import { SYS_RESTART_SYSCALL } from './restarted.js';
import { callState } from './resume.js';
import { parseStat } from './status.js';

/** What was seen of a thread before it was stopped. */
export interface SleepHint {
  /** Number of the system call it was blocked in. */
  readonly number: number;
  /** Nanoseconds that it had been asleep. */
  readonly elapsed: bigint;
  /** CLOCK_MONOTONIC of that moment, ns. */
  readonly seen: bigint;
  /** How often the thread had gone to sleep. */
  readonly switches: number;
  /** The kernel function it slept in, where it is needed; else ''. */
  readonly wchan: string;
}

/** Notes for each thread how long it has been blocked; threads that run, or of which nothing is said, are left out. */
export function observeSleeps(pid: number, tids: readonly number[]): Map<number, SleepHint> {
  const hints = new Map<number, SleepHint>();
  const own = schedGetaffinity(0);
  try {
    for (const [processor, some] of byProcessor(pid, tids)) {
      // Each processor has a task clock of its own: ours must be read on that of the thread.
      if (!runOn(processor)) continue;
      for (const tid of some) observeSleep(pid, tid, hints);
    }
  } finally {
    addon.syscall(SYS_SCHED_SETAFFINITY, 0, own.length, own);
  }
  return hints;
}

function observeSleep(pid: number, tid: number, hints: Map<number, SleepHint>): void {
  try {
    const task = `/proc/${pid}/task/${tid}`;
    const switches = voluntarySwitches(task);
    const number = Number.parseInt(readFileSync(`${task}/syscall`, 'utf8'), 10);
    if (!(number >= 0)) return;
    const since = execStart(`${task}/sched`);
    const now = execStart(`/proc/self/task/${process.pid}/sched`);
    const elapsed = now > since ? now - since : 0n;
    const wchan = BigInt(number) === SYS_RESTART_SYSCALL ? readFileSync(`${task}/wchan`, 'utf8') : '';
    hints.set(tid, { number, elapsed, seen: clockGettime(Clock.MONOTONIC), switches, wchan });
  } catch {
    // No such thread any more, or a kernel without CONFIG_SCHED_DEBUG: the full timeout is used.
  }
}

/** Threads by the processor that they last ran on (field 39 of stat). */
function byProcessor(pid: number, tids: readonly number[]): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (const tid of tids) {
    try {
      const { processor } = parseStat(readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8'));
      const group = groups.get(processor);
      if (group) group.push(tid);
      else groups.set(processor, [tid]);
    } catch {
      // The thread has ended.
    }
  }
  return groups;
}

const SYS_SCHED_SETAFFINITY = 203;

/** Moves this thread to a processor; false where that is not allowed. */
function runOn(processor: number): boolean {
  const mask = new Uint8Array(Math.ceil((processor + 1) / 64) * 8);
  mask[processor >> 3] = 1 << (processor & 7);
  try {
    addon.syscall(SYS_SCHED_SETAFFINITY, 0, mask.length, mask);
    return true;
  } catch {
    return false;
  }
}

/**
 * Keeps the hints of threads that have slept on until the stop. Being stopped is itself one more
 * sleep; with two or more, the thread was awake meanwhile and sleeps another time.
 */
export function confirmSleeps(pid: number, hints: ReadonlyMap<number, SleepHint>): Map<number, SleepHint> {
  const confirmed = new Map<number, SleepHint>();
  for (const [tid, hint] of hints) {
    try {
      if (voluntarySwitches(`/proc/${pid}/task/${tid}`) <= hint.switches + 1) confirmed.set(tid, hint);
    } catch {
      // The thread has ended.
    }
  }
  return confirmed;
}

/** `voluntary_ctxt_switches` of a task. */
function voluntarySwitches(task: string): number {
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync(`${task}/status`, 'utf8'))?.[1]);
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

/** When the timeout of a call ends that the kernel would start over. */
export interface Deadline {
  readonly tid: number;
  /** CLOCK_MONOTONIC, ns. */
  readonly at: bigint;
}

const EPOLL_WAIT = 232n;
const EPOLL_PWAIT = 281n;

/** A C library by the name of its file. */
export const C_LIBRARY = /\/(libc|ld-musl)[-.][^/]*$/;

/**
 * Threads in epoll_wait(2) with a timeout. The kernel ends the call with EINTR because of our stop; made
 * again, it would wait for the whole time once more. A shorter timeout stands in r10 from then on: the C
 * library's function loads that register for each call and its callers do not expect it back, while code
 * that makes the call itself may load it once for many.
 */
export function epollDeadlines(
  states: readonly ThreadState[],
  hints: ReadonlyMap<number, SleepHint>,
  mappings: readonly Mapping[],
): Deadline[] {
  const library = mappings.filter(({ path }) => C_LIBRARY.test(path));
  return states.flatMap(({ tid, registers }) => {
    const set = decodeRegisters(registers);
    const hint = hints.get(tid);
    const timeout = BigInt.asIntN(32, set.r10);
    const waits = set.orig_rax === EPOLL_WAIT || set.orig_rax === EPOLL_PWAIT;
    if (!waits || timeout <= 0n || !hint || BigInt(hint.number) !== set.orig_rax) return [];
    if (callState(set) !== 'interrupted') return [];
    if (!library.some(({ start, end }) => set.rip >= start && set.rip < end)) return [];
    return [{ tid, at: hint.seen - hint.elapsed + timeout * 1_000_000n }];
  });
}

/** Milliseconds until a deadline, rounded up; 0 if it has passed. */
export function untilDeadline({ at }: Deadline): number {
  const left = at - clockGettime(Clock.MONOTONIC);
  return left > 0n ? Number((left + 999_999n) / 1_000_000n) : 0;
}
