/** Operations that give the process as a whole its state back. */
import { quoted } from '../byte-text.js';
import { AT_FDCWD, O } from '../fcntl.js';
import type { Process } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { call, type Extra, prctl } from './calls.js';
import type { Cell, Op } from './program.js';
import { signalNumber } from './thread.js';

const PR_SET_MM = 35;
const PR_SET_MM_MAP = 14;
const PR_SET_CHILD_SUBREAPER = 36;
const PR_SET_THP_DISABLE = 41;
const ARCH_REQ_XCOMP_PERM = 0x1023;
/** The one component that needs a permission: the tiles of AMX. */
const XTILEDATA = 18;
const MCL_ONFAULT = 4;
const SIGKILL = 9;
const SIGSTOP = 19;
const ITIMER_REAL = 0;
const TIMER_NAMES = ['ITIMER_REAL', 'ITIMER_VIRTUAL', 'ITIMER_PROF'];

/** `{tv_sec, tv_nsec or tv_usec}` of a time in nanoseconds. */
function timeBytes(nanoseconds: bigint, unit: bigint): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64LE(nanoseconds / 1_000_000_000n, 0);
  bytes.writeBigInt64LE((nanoseconds % 1_000_000_000n) / unit, 8);
  return bytes;
}

/**
 * To where the process was, by its path; one that was deleted is at hand.
 * @param folders descriptors of the deleted directories; under `--check` there are none yet
 */
export function enterFolder(
  arena: Arena,
  { workingDirectory, workingFolder }: Pick<Process, 'workingDirectory' | 'workingFolder'>,
  folders: readonly number[] | null,
  extra: Extra = {},
): Op[] {
  if (workingFolder !== undefined) {
    const label = `cannot enter the deleted directory ${workingDirectory}`;
    return folders ? [call('fchdir', [folders[workingFolder]!], { label, ...extra })] : [];
  }
  return [enterByPath(arena, workingDirectory, extra)];
}

function enterByPath(arena: Arena, workingDirectory: string, extra: Extra): Op {
  return call('chdir', [arena.string(workingDirectory)], {
    label: `cannot enter the working directory ${workingDirectory}`,
    text: `chdir(${quoted(workingDirectory)})`,
    ...extra,
  });
}

/** Working directory, umask, personality and the like. `folders`: see {@link enterFolder}. */
export function planEnvironment(arena: Arena, process: Process, folders: readonly number[]): Op[] {
  const ops: Op[] = [
    ...enterFolder(arena, process, folders),
    call('umask', [process.umask]),
    call('personality', [process.personality >>> 0]),
  ];
  if (process.childSubreaper) ops.push(prctl('PR_SET_CHILD_SUBREAPER', PR_SET_CHILD_SUBREAPER, [1]));
  for (let command = 1; command <= process.membarriers; command *= 2) {
    if (process.membarriers & command) {
      ops.push(
        call('membarrier', [command, 0, 0], { label: `cannot register for membarrier command ${command}` }),
      );
    }
  }
  if (process.thpDisabled) ops.push(prctl('PR_SET_THP_DISABLE', PR_SET_THP_DISABLE, [1]));
  // Before any alternate stack is set: with it, the kernel asks for room for the tiles there.
  if (process.permittedFeatures & (1n << BigInt(XTILEDATA))) {
    ops.push(
      call('arch_prctl', [ARCH_REQ_XCOMP_PERM, XTILEDATA], {
        label: 'cannot get the permission to use AMX',
        text: 'arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)',
      }),
    );
  }
  return ops;
}

/** Files of `/proc/self` that set what they show. Lowering the first needs a privilege, and there may be no `/proc`. */
export function planProcFiles(arena: Arena, process: Process): Op[] {
  const { oomScoreAdjust, coredumpFilter } = process;
  return [
    ...writeProcFile(arena, 'oom_score_adj', `${oomScoreAdjust}\n`),
    ...(coredumpFilter === null
      ? []
      : writeProcFile(arena, 'coredump_filter', `0x${coredumpFilter.toString(16)}\n`)),
  ];
}

function writeProcFile(arena: Arena, name: string, text: string): Op[] {
  const fd = arena.cell();
  return [
    call('openat', [AT_FDCWD, arena.string(`/proc/self/${name}`), O.WRONLY, 0], {
      result: fd,
      check: { kind: 'ok', tolerated: ['ENOENT', 'EACCES'], jump: `no-${name}` },
      text: `openat(AT_FDCWD, "/proc/self/${name}", O_WRONLY)`,
    }),
    call('write', [fd, arena.string(text), text.length], { check: { kind: 'none' } }),
    call('close', [fd]),
    { op: 'mark', name: `no-${name}` },
  ];
}

/** `struct prctl_mm_map`: what `/proc/PID/{cmdline,environ,auxv,stat}` show, and where brk stands. */
export function planMemoryMap(arena: Arena, process: Process): Op[] {
  const m = process.memory;
  const bytes = Buffer.alloc(104);
  const words = [
    m.startCode,
    m.endCode,
    m.startData,
    m.endData,
    m.startBrk,
    m.brk,
    m.startStack,
    m.argStart,
    m.argEnd,
    m.envStart,
    m.envEnd,
    arena.bytes(m.auxv),
  ];
  words.forEach((word, i) => {
    bytes.writeBigUInt64LE(word, i * 8);
  });
  bytes.writeUInt32LE(m.auxv.length, 96);
  bytes.writeUInt32LE(0xffff_ffff, 100); // exe_fd: the program file stays the image
  return [
    prctl('PR_SET_MM', PR_SET_MM, [PR_SET_MM_MAP, arena.bytes(bytes), bytes.length], {
      label: `cannot set brk to 0x${m.brk.toString(16)} (this kernel lacks prctl PR_SET_MM_MAP, CONFIG_CHECKPOINT_RESTORE)`,
    }),
  ];
}

/** Memory that is mapped later is locked, too; before a privilege for it is gone. */
export function planFutureLocks({ locksFutureMemory: flags }: Process): Op[] {
  if (flags === 0) return [];
  return [
    call('mlockall', [flags], {
      text: `mlockall(${flags & MCL_ONFAULT ? 'MCL_FUTURE|MCL_ONFAULT' : 'MCL_FUTURE'})`,
      label: 'cannot lock memory that is mapped later (RLIMIT_MEMLOCK)',
    }),
  ];
}

/** Signal handlers. They cannot run yet: all signals are blocked until the last act. */
export function planSignalActions(arena: Arena, process: Process): Op[] {
  const ops: Op[] = [];
  process.signalActions.forEach((action, i) => {
    const signal = i + 1;
    if (signal === SIGKILL || signal === SIGSTOP) return;
    const bytes = Buffer.alloc(32);
    bytes.writeBigUInt64LE(action.handler, 0);
    bytes.writeBigUInt64LE(action.flags, 8);
    bytes.writeBigUInt64LE(action.restorer, 16);
    bytes.writeBigUInt64LE(action.mask, 24);
    ops.push(
      call('rt_sigaction', [signal, arena.bytes(bytes), 0, 8], {
        label: `cannot set the handler of signal ${signal}`,
      }),
    );
  });
  return ops;
}

/** Signals that were pending for the whole process. */
export function planSharedPending(arena: Arena, process: Process, pid: Cell): Op[] {
  return process.pendingSignals.map((siginfo) =>
    call('rt_sigqueueinfo', [pid, signalNumber(siginfo), arena.bytes(siginfo)], {
      label: `cannot queue signal ${signalNumber(siginfo)}`,
    }),
  );
}

/** POSIX timers with their ids; armed by `planTimerStart`. `tidOf` gives the cell of a thread for SIGEV_THREAD_ID. */
export function planTimers(arena: Arena, process: Process, tidOf: (tid: number) => Cell | null): Op[] {
  const ops: Op[] = [];
  // Lists of timers show the newest first: they are made in the order in which the kernel gave the ids.
  for (const timer of [...process.posixTimers].sort((a, b) => a.id - b.id)) {
    const event = Buffer.alloc(64);
    event.writeBigUInt64LE(timer.value, 0);
    event.writeInt32LE(timer.signal, 8);
    event.writeInt32LE(timer.notify, 12);
    event.writeInt32LE(timer.tid, 16);
    const address = arena.bytes(event);
    const tid = timer.notify & 4 ? tidOf(timer.tid) : null;
    if (tid)
      ops.push({
        op: 'store',
        address: address + 16n,
        width: 4,
        value: tid,
        label: 'sigev_notify_thread_id',
      });
    ops.push({
      op: 'builtin',
      name: 'timer_create',
      args: [timer.clock, address, timer.id],
      label: `cannot create timer ${timer.id} (clock ${timer.clock})`,
    });
  }
  return ops;
}

/** Starts timers with the time that was left: the very last thing, so that little of it is lost. */
export function planTimerStart(arena: Arena, process: Process): Op[] {
  const ops: Op[] = [];
  for (const { id, remaining, interval } of process.posixTimers) {
    if (remaining === 0n) continue;
    const spec = Buffer.concat([timeBytes(interval, 1n), timeBytes(remaining, 1n)]);
    ops.push(call('timer_settime', [id, 0, arena.bytes(spec), 0], { label: `cannot start timer ${id}` }));
  }
  process.intervalTimers.forEach(({ remaining: left, interval }, which) => {
    // A real-time timer whose SIGALRM has yet to be taken shows no time left: taking it starts the next round.
    const remaining = which === ITIMER_REAL && left === 0n ? interval : left;
    if (remaining === 0n) return;
    const value = Buffer.concat([
      timeBytes(interval, 1000n),
      timeBytes(remaining < 1000n ? 1000n : remaining, 1000n),
    ]);
    ops.push(
      call('setitimer', [which, arena.bytes(value), 0], {
        label: `cannot start ${TIMER_NAMES[which]}`,
        text: `setitimer(${TIMER_NAMES[which]}, {it_interval=${interval}ns, it_value=${remaining}ns}, NULL)`,
      }),
    );
  });
  return ops;
}
