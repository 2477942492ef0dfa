/** Asks a stopped process what only it can tell, through the interpreter. */
import { UnsupportedError } from '../errors.js';
import { schedGetaffinity } from '../native/syscalls.js';
import type { ThreadState, Tracer } from '../native/tracer.js';
import { decodeRegisters } from '../snapshot/registers.js';
import type { PosixTimer, Process, Thread } from '../snapshot/schema.js';
import type { Blob } from '../thaw/plan.js';
import { ownTid } from './descriptors/threads.js';
import { parseCredentials, readIdentity } from './identity.js';
import { type Infection, infect, readMemory } from './infect.js';
import { type Leftover, type Trampoline, withoutLeftovers } from './leftovers.js';
import { type Mapping, readMappings } from './maps.js';
import type { NamedCalls } from './named-calls.js';
import { parseTimers, processQuery, threadQuery } from './query.js';
import { readProcText, unlessRefused } from './read.js';
import { callState } from './resume.js';
import { parseStatus } from './status.js';
import { findGadgets } from './syscall-gadget.js';
import { describeThread } from './thread.js';

/** `sigev_notify` */
const SIGEV_NONE = 1;
const SIGEV_THREAD_ID = 4;
const SYS_MUNMAP = 11;

/** What it has told. */
export interface Interrogated {
  readonly process: Omit<Process, 'regions' | 'objects' | 'mappedFiles' | 'aioContexts' | 'descriptors'>;
  readonly memoryPolicies: readonly string[];
}

/**
 * Asks the process, each thread for its own part.
 * @throws UnsupportedError for what shows only now that it cannot be carried
 */
export function interrogate(
  pid: number,
  tracer: Tracer,
  blob: Blob,
  mem: number,
  mappings: readonly Mapping[],
  states: readonly ThreadState[],
  trampolines: readonly Trampoline[],
  calls: NamedCalls,
  stray: readonly Leftover[],
): Interrogated {
  const theirs = withoutLeftovers(mappings, stray);
  const { syscall: gadget, restorer } = findGadgets(mem, theirs);
  const stack = mappings.find(({ path, prot }) => path === '[stack]' && (prot & 3) === 3);
  // They are there with CONFIG_CHECKPOINT_RESTORE.
  const timers = parseTimers(unlessRefused(() => readProcText(pid, 'timers'), ''));
  const leader = states[0]!;
  const capacity = 32768 + 352 * timers.length + leader.xstate.length;
  const caller = callerAmong(states);
  if (restorer && stack) tracer.setNet(caller, restorer, stack, calls.numbers.get(caller));
  for (const { start, end } of stray) tracer.syscall(caller, gadget, SYS_MUNMAP, [start, end - start]);
  const lockedBefore = lockedMemory(pid);
  const infection: Infection = infect(tracer, caller, mem, gadget, blob, capacity, theirs);
  const { brk, secureBits, hasLocalDescriptors, strangeTimers, ...answers } = infection.ask(leader, (arena) =>
    processQuery(arena, timers),
  );
  if (hasLocalDescriptors) {
    throw new UnsupportedError([
      `process ${pid} has segments of its own (modify_ldt), which are not carried yet`,
    ]);
  }
  // The kernel does not tell which thread's time it is: of one it can be no other's.
  if (states.length > 1 && strangeTimers.length > 0) {
    throw new UnsupportedError(
      strangeTimers.map(
        (id) =>
          `timer ${id} of process ${pid} runs on the processor time of another thread than the first, or on that of one that cannot be told as it is not armed (CLOCK_THREAD_CPUTIME_ID): it is not carried`,
      ),
    );
  }
  const { status, memory, ...identity } = readIdentity(pid);
  const sharedPending = tracer.sharedPending(leader.tid);
  const context = {
    pid,
    actions: answers.signalActions,
    sharedPending,
    trampolines,
    hints: calls.hints,
    allProcessors: schedGetaffinity(1),
    readMemory: (address: bigint, size: number) => readMemory(mem, address, size),
    ownTid: (tid: number) => ownTid(pid, tid)!,
  };
  const memoryPolicies: string[] = [];
  const threads: Thread[] = states.map((state) => {
    const { memoryPolicy, ...answers } = infection.ask(state, threadQuery);
    if (memoryPolicy !== null) memoryPolicies.push(memoryPolicy);
    const registers = calls.registers.get(state.tid) ?? state.registers;
    return describeThread({ ...state, registers }, answers, context);
  });
  const process = {
    ...identity,
    ...answers,
    posixTimers: answers.posixTimers.map((timer) => aimed(pid, timer)),
    locksFutureMemory: lockedMemory(pid) === lockedBefore ? 0 : futureLocks(pid, infection),
    credentials: parseCredentials(status, secureBits),
    memory: { ...memory, brk },
    threads,
    pendingSignals: sharedPending,
  };
  return { process, memoryPolicies };
}

/** A timer with the id that its thread has for itself; one whose thread has ended tells nobody, whatever it was to tell. */
function aimed(pid: number, timer: PosixTimer): PosixTimer {
  if (!(timer.notify & SIGEV_THREAD_ID)) return timer;
  const tid = ownTid(pid, timer.tid);
  return tid === null ? { ...timer, notify: SIGEV_NONE, tid: 0 } : { ...timer, tid };
}

/** `VmLck`: memory that is locked. */
function lockedMemory(pid: number): string | undefined {
  return parseStatus(readProcText(pid, 'status')).get('VmLck');
}

const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;

/** How mlockall(2) has memory locked that is mapped from then on, seen by what we have just mapped; nothing else tells. */
function futureLocks(pid: number, { start, end }: Infection): number {
  const ours = readMappings(pid, 'smaps').filter((m) => m.start < end && m.end > start);
  if (!ours.every(({ flags }) => flags.includes('lo'))) return 0;
  return MCL_FUTURE | (ours.every(({ flags }) => flags.includes('lf')) ? MCL_ONFAULT : 0);
}

/**
 * The thread in which the few calls are made that run without the interpreter. Best is one that does
 * not sleep: should the tracer die during such a call, a sleep would begin anew.
 */
function callerAmong(states: readonly ThreadState[]): number {
  const awake = states.find(({ registers }) => callState(decodeRegisters(registers)) !== 'restart-block');
  return (awake ?? states[0]!).tid;
}
