/**
 * Questions that only a process itself can answer: handlers of signals, timers, alternate stacks,
 * thread id addresses, prctl state. They are operations of the interpreter, run once inside the
 * target; the answers are read from the scratch mapping.
 */
import { PROCESS_SETTINGS, type PrctlSetting, THREAD_SETTINGS } from '../snapshot/prctl-settings.js';
import type { PosixTimer, Process, Thread } from '../snapshot/schema.js';
import type { Arena } from '../thaw/arena.js';
import { call } from '../thaw/calls.js';
import type { Cell, Op } from '../thaw/program.js';
import { MOST_NODES, NODES_SIZE, policyText } from './memory-policy.js';

const PR_GET_PDEATHSIG = 2;
const PR_GET_DUMPABLE = 3;
const PR_GET_SECUREBITS = 27;
const PR_GET_TIMERSLACK = 30;
const PR_GET_CHILD_SUBREAPER = 37;
const PR_GET_TID_ADDRESS = 40;
const PR_GET_THP_DISABLE = 42;
/** Linux 5.16; before, there is nothing that would need a permission. */
const ARCH_GET_XCOMP_PERM = 0x1022;
/** Linux 6.3; before, nobody can ask. */
const MEMBARRIER_CMD_GET_REGISTRATIONS = 1 << 9;
const MODIFY_LDT_READ = 0;
/** Bytes of one descriptor. */
const LDT_ENTRY = 8;
const SS_ONSTACK = 1;
const SIGNALS = 64;

/** Reads the bytes at an address of the scratch mapping. */
export type Answers = (address: bigint, size: number) => Buffer;

/** Operations, and how to read what they found. */
export interface Query<T> {
  readonly ops: readonly Op[];
  decode(answers: Answers): T;
}

const ignore = { check: { kind: 'none' } } as const;

function prctlGet(option: number, argument: bigint | number, result: Cell): Op {
  return call('prctl', [option, argument, 0, 0, 0], { result, ...ignore });
}

function cellValue(answers: Answers, { cell }: Cell): bigint {
  return answers(cell, 8).readBigInt64LE();
}

/** What every thread is asked. */
export type ThreadAnswers = Pick<
  Thread,
  'alternateStack' | 'tidAddress' | 'parentDeathSignal' | 'timerSlack' | 'settings'
> & { readonly memoryPolicy: string | null };

/** Asks a thread for its alternate stack, tid address, parent-death signal, timer slack and memory policy. */
export function threadQuery(arena: Arena): Query<ThreadAnswers> {
  const stack = arena.reserve(24);
  const tidAddress = arena.cell();
  const tidResult = arena.cell();
  const deathSignal = arena.cell();
  const slack = arena.cell();
  const policy = arena.cell();
  const nodes = arena.reserve(NODES_SIZE);
  const policyResult = arena.cell();
  const settings = settingsQuery(arena, THREAD_SETTINGS);
  return {
    ops: [
      call('sigaltstack', [0, stack], ignore),
      prctlGet(PR_GET_TID_ADDRESS, tidAddress.cell, tidResult),
      prctlGet(PR_GET_PDEATHSIG, deathSignal.cell, arena.cell()),
      prctlGet(PR_GET_TIMERSLACK, 0, slack),
      call('get_mempolicy', [policy.cell, nodes, MOST_NODES, 0, 0], { result: policyResult, ...ignore }),
      ...settings.ops,
    ],
    decode(answers) {
      if (cellValue(answers, tidResult) !== 0n) {
        throw new Error('this kernel lacks prctl PR_GET_TID_ADDRESS (CONFIG_CHECKPOINT_RESTORE)');
      }
      const bytes = answers(stack, 24);
      return {
        alternateStack: {
          address: bytes.readBigUInt64LE(0),
          flags: bytes.readInt32LE(8) & ~SS_ONSTACK,
          size: bytes.readBigUInt64LE(16),
        },
        tidAddress: BigInt.asUintN(64, cellValue(answers, tidAddress)),
        parentDeathSignal: answers(deathSignal.cell, 4).readInt32LE(),
        timerSlack: BigInt.asUintN(64, cellValue(answers, slack)),
        settings: settings.decode(answers),
        memoryPolicy:
          cellValue(answers, policyResult) === 0n
            ? policyText(answers(policy.cell, 4).readInt32LE(), answers(nodes, NODES_SIZE))
            : null,
      };
    },
  };
}

/** Those settings that are not the usual ones. */
function settingsQuery(arena: Arena, rows: readonly PrctlSetting[]): Query<Thread['settings']> {
  const asked = rows.map((row) => ({ row, value: arena.cell(), result: arena.cell() }));
  return {
    ops: asked.map(({ row, value, result }) =>
      prctlGet(row.get, row.byAddress ? value.cell : row.several ? row.before! : 0, result),
    ),
    decode: (answers) =>
      asked.flatMap(({ row, value, result }) => {
        const returned = Number(cellValue(answers, result));
        if (returned < 0) return [];
        const carried = row.carried(row.byAddress ? answers(value.cell, 4).readInt32LE() : returned);
        const which = row.several ? { which: row.before! } : {};
        return carried === null ? [] : [{ option: row.set, ...which, value: carried }];
      }),
  };
}

/** What the process is asked once. */
export type ProcessAnswers = Pick<
  Process,
  | 'signalActions'
  | 'intervalTimers'
  | 'posixTimers'
  | 'dumpable'
  | 'childSubreaper'
  | 'thpDisabled'
  | 'settings'
  | 'membarriers'
  | 'permittedFeatures'
> & {
  brk: bigint;
  secureBits: number;
  hasLocalDescriptors: boolean;
  /** Ids of timers on the processor time of a thread that do not go on with that of the one which was asked. */
  strangeTimers: readonly number[];
};

/** Bits of the clock of a thread's processor time, above which its id is negated; 0 stands for whoever made the timer. */
const PER_THREAD = 4;
const ID_SHIFT = 3;

/** Whether a clock is that of the thread which made the timer: the kernel's own number for CLOCK_THREAD_CPUTIME_ID. */
function isOfMaker(clock: number): boolean {
  return clock < 0 && clock >> ID_SHIFT === ~0 && (clock & PER_THREAD) !== 0;
}

/** A timer as `/proc/PID/timers` lists it. */
export type TimerEntry = Omit<PosixTimer, 'remaining' | 'interval'>;

/** Asks the process for its signal handlers, timers, brk and prctl state. */
export function processQuery(arena: Arena, timers: readonly TimerEntry[]): Query<ProcessAnswers> {
  const actions = arena.reserve(32 * SIGNALS);
  const interval = arena.reserve(32 * 3);
  const posix = arena.reserve(32 * Math.max(1, timers.length));
  const later = arena.reserve(32 * Math.max(1, timers.length));
  const brk = arena.cell();
  const dumpable = arena.cell();
  const secureBits = arena.cell();
  const subreaper = arena.cell();
  const thpDisabled = arena.cell();
  const membarriers = arena.cell();
  const permittedFeatures = arena.cell();
  const localDescriptors = arena.cell();
  const getTime = ({ id }: TimerEntry, into: bigint) => call('timer_gettime', [id, into], ignore);
  const settings = settingsQuery(arena, PROCESS_SETTINGS);
  const ops: Op[] = [];
  for (let signal = 1; signal <= SIGNALS; signal++) {
    ops.push(call('rt_sigaction', [signal, 0, actions + BigInt(32 * (signal - 1)), 8], ignore));
  }
  for (let which = 0; which < 3; which++)
    ops.push(call('getitimer', [which, interval + BigInt(32 * which)], ignore));
  timers.forEach((timer, i) => {
    ops.push(getTime(timer, posix + BigInt(32 * i)));
  });
  ops.push(
    call('brk', [0], { result: brk, ...ignore }),
    prctlGet(PR_GET_DUMPABLE, 0, dumpable),
    prctlGet(PR_GET_SECUREBITS, 0, secureBits),
    prctlGet(PR_GET_CHILD_SUBREAPER, subreaper.cell, arena.cell()),
    prctlGet(PR_GET_THP_DISABLE, 0, thpDisabled),
    call('membarrier', [MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0], { result: membarriers, ...ignore }),
    // As many bytes as are asked for if there is a table, else 0.
    call('modify_ldt', [MODIFY_LDT_READ, arena.reserve(LDT_ENTRY), LDT_ENTRY], {
      result: localDescriptors,
      ...ignore,
    }),
    call('arch_prctl', [ARCH_GET_XCOMP_PERM, permittedFeatures.cell], ignore),
    ...settings.ops,
    ...timers.map((timer, i) => getTime(timer, later + BigInt(32 * i))),
  );
  return {
    ops,
    decode: (answers) => ({
      signalActions: Array.from({ length: SIGNALS }, (_, i) => {
        const bytes = answers(actions + BigInt(32 * i), 32);
        return {
          handler: bytes.readBigUInt64LE(0),
          flags: bytes.readBigUInt64LE(8),
          restorer: bytes.readBigUInt64LE(16),
          mask: bytes.readBigUInt64LE(24),
        };
      }),
      intervalTimers: Array.from({ length: 3 }, (_, i) =>
        timesOf(answers(interval + BigInt(32 * i), 32), 1000n),
      ),
      posixTimers: timers.map((timer, i) => ({
        ...timer,
        ...timesOf(answers(posix + BigInt(32 * i), 32), 1n),
      })),
      brk: BigInt.asUintN(64, cellValue(answers, brk)),
      dumpable: Number(cellValue(answers, dumpable)),
      secureBits: Number(cellValue(answers, secureBits)),
      childSubreaper: answers(subreaper.cell, 4).readInt32LE() !== 0,
      thpDisabled: cellValue(answers, thpDisabled) > 0n,
      settings: settings.decode(answers),
      membarriers: Math.max(0, Number(cellValue(answers, membarriers))),
      permittedFeatures: BigInt.asUintN(64, cellValue(answers, permittedFeatures)),
      strangeTimers: timers.flatMap(({ id, clock }, i) => {
        const [first, last] = [posix, later].map(
          (samples) => timesOf(answers(samples + BigInt(32 * i), 32), 1n).remaining,
        );
        return isOfMaker(clock) && last! >= first! ? [id] : [];
      }),
      hasLocalDescriptors: cellValue(answers, localDescriptors) > 0n,
    }),
  };
}

/** `struct itimerspec` or `struct itimerval`: interval, then the time left. */
function timesOf(bytes: Buffer, unit: bigint): { interval: bigint; remaining: bigint } {
  const time = (at: number): bigint =>
    bytes.readBigInt64LE(at) * 1_000_000_000n + bytes.readBigInt64LE(at + 8) * unit;
  return { interval: time(0), remaining: time(16) };
}

/** Parses `/proc/PID/timers`. */
export function parseTimers(text: string): TimerEntry[] {
  const timers: TimerEntry[] = [];
  for (const block of text.split(/^(?=ID: )/m)) {
    const id = /^ID: (\d+)/m.exec(block);
    const signal = /^signal: (-?\d+)\/([0-9a-f]+)/m.exec(block);
    const notify = /^notify: (\w+)\/(\w+)\.(\d+)/m.exec(block);
    const clock = /^ClockID: (-?\d+)/m.exec(block);
    if (!id || !signal || !notify || !clock) continue;
    timers.push({
      id: Number(id[1]),
      clock: Number(clock[1]),
      signal: Number(signal[1]),
      value: BigInt(`0x${signal[2]}`),
      notify: (SIGEV[notify[1]!] ?? 0) | (notify[2] === 'tid' ? 4 : 0),
      tid: notify[2] === 'tid' ? Number(notify[3]) : 0,
    });
  }
  return timers;
}

/** `sigev_notify` by the kernel's names (fs/proc/base.c). */
const SIGEV: Readonly<Record<string, number>> = { signal: 0, none: 1, thread: 2 };
