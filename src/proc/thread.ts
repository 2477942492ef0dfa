/** One thread of a stopped process as the snapshot holds it. */

import {
  getpriority,
  getRobustList,
  ioprioGet,
  schedGetaffinity,
  schedGetparam,
  schedGetscheduler,
} from '../native/syscalls.js';
import type { ThreadState } from '../native/tracer.js';
import { decodeRegisters } from '../snapshot/registers.js';
import type { SignalAction, Thread } from '../snapshot/schema.js';
import { commOf } from './identity.js';
import { outOfTrampoline, type Trampoline } from './leftovers.js';
import type { ThreadAnswers } from './query.js';
import { callState, type Deliverable, interruption, resumeRegisters } from './resume.js';
import { remainingSleep, type SleepHint } from './sleep.js';

const SIG_DFL = 0n;
const SIG_IGN = 1n;
const SA_RESTART = 0x1000_0000n;

/** What threads are described with. */
export interface ThreadContext {
  readonly pid: number;
  readonly actions: readonly SignalAction[];
  /** Signals pending for the process. */
  readonly sharedPending: readonly Uint8Array[];
  readonly trampolines: readonly Trampoline[];
  readonly hints: ReadonlyMap<number, SleepHint>;
  /** The affinity mask of a process that was never pinned. */
  readonly allProcessors: Uint8Array;
  readonly readMemory: (address: bigint, size: number) => Buffer;
  /** The thread's id in its own namespace. */
  readonly ownTid: (tid: number) => number;
}

/** Describes a stopped thread. */
export function describeThread(
  state: ThreadState,
  answers: Omit<ThreadAnswers, 'memoryPolicy'>,
  context: ThreadContext,
): Thread {
  const { tid } = state;
  const out = outOfTrampoline(state.registers, context.trampolines);
  const hint = context.hints.get(tid);
  const affinity = schedGetaffinity(tid);
  const registers = resumeRegisters(out.registers, firstDeliverable(state, context));
  const inCall = decodeRegisters(registers).rip !== decodeRegisters(out.registers).rip;
  return {
    tid: context.ownTid(tid),
    comm: commOf(context.pid, tid),
    registers,
    xstate: state.xstate,
    signalMask: state.signalMask,
    ...answers,
    pendingSignals: [...state.pending],
    robustList: robustList(tid),
    rseq: state.rseq,
    affinity: Buffer.compare(affinity, context.allProcessors) === 0 ? new Uint8Array() : affinity,
    nice: getpriority(tid),
    policy: schedGetscheduler(tid),
    priority: schedGetparam(tid),
    ioPriority: ioprioGet(tid),
    inCall,
    interruption: inCall ? interruption(out.registers) : null,
    sleep: sleepOf(out, registers, hint, context),
  };
}

function sleepOf(
  out: { registers: Uint8Array; remaining: bigint | null },
  resumed: Uint8Array,
  hint: SleepHint | undefined,
  context: ThreadContext,
): Thread['sleep'] {
  const set = decodeRegisters(out.registers);
  if (callState(set) === 'none') {
    // Frozen in a stub before its call: the call is still to be made, for the time written there.
    return out.remaining === null ? null : { number: Number(set.rax), remaining: out.remaining };
  }
  // A signal handler will end the call: there is nothing to go on with.
  if (decodeRegisters(resumed).rip === set.rip) return null;
  return remainingSleep(out.registers, hint, context.readMemory, out.remaining);
}

function robustList(tid: number): Thread['robustList'] {
  const { head, length } = getRobustList(tid);
  return { head, length: Number(length) };
}

/** The unblocked pending signal that would be delivered first. */
function firstDeliverable(state: ThreadState, context: ThreadContext): Deliverable | null {
  const numbers = [...state.pending, ...context.sharedPending]
    .map((info) => new DataView(info.buffer, info.byteOffset).getInt32(0, true))
    .filter((signal) => signal >= 1 && signal <= 64 && !(state.signalMask & (1n << BigInt(signal - 1))))
    .sort((a, b) => a - b);
  for (const number of numbers) {
    const action = context.actions[number - 1]!;
    if (action.handler === SIG_IGN) continue;
    return {
      handled: action.handler !== SIG_DFL,
      restarts: (action.flags & SA_RESTART) !== 0n,
    };
  }
  return null;
}
