/** Operations that give a thread its own state back; the general registers follow in its signal frame. */

import { bytesOfText } from '../byte-text.js';
import { ImageError } from '../errors.js';
import { type PrctlSetting, THREAD_SETTINGS } from '../snapshot/prctl-settings.js';
import { decodeRegisters } from '../snapshot/registers.js';
import type { Credentials, Process, Thread } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { call, prctl, tolerate } from './calls.js';
import type { Cell, Op } from './program.js';

const ARCH_SET_GS = 0x1001;
const ARCH_SET_FS = 0x1002;
const PR_SET_PDEATHSIG = 1;
const PR_SET_KEEPCAPS = 8;
const PR_SET_NAME = 15;
const SECBIT_KEEP_CAPS = 0x10;
const PR_CAPBSET_DROP = 24;
const PR_SET_SECUREBITS = 28;
const PR_SET_TIMERSLACK = 29;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;
const PRIO_PROCESS = 0;
const NUL = Buffer.of(0);
const IOPRIO_WHO_PROCESS = 1;

/** State of one thread but for {@link planPrivileges}, run by itself. `tid` is the cell with its id. */
export function planThread(arena: Arena, thread: Thread, tid: Cell): Op[] {
  const who = `thread ${thread.tid}`;
  const set = decodeRegisters(thread.registers);
  const ops: Op[] = [
    {
      op: 'builtin',
      name: 'fix_tid',
      args: [thread.tidAddress, thread.tid, set.fs_base],
      check: { kind: 'none' },
    },
    call('set_tid_address', [thread.tidAddress], { result: tid }),
    call('arch_prctl', [ARCH_SET_FS, set.fs_base], { label: `cannot set the fs base of ${who}` }),
    call('arch_prctl', [ARCH_SET_GS, set.gs_base], { label: `cannot set the gs base of ${who}` }),
    prctl('PR_SET_NAME', PR_SET_NAME, [arena.bytes(Buffer.concat([bytesOfText(thread.comm), NUL]), 1)]),
  ];
  if (thread.robustList.head !== 0n) {
    ops.push(call('set_robust_list', [thread.robustList.head, thread.robustList.length]));
  }
  if (thread.rseq) {
    const { address, length, signature } = thread.rseq;
    ops.push(
      call('rseq', [address, length, 0, signature >>> 0], {
        label: `cannot register restartable sequences of ${who}`,
      }),
    );
  }
  ops.push(...planStack(arena, thread), ...planScheduling(arena, thread));
  ops.push(...planPending(arena, thread, tid), ...planSettings(THREAD_SETTINGS, thread.settings));
  return ops;
}

/** Ids and capabilities of a thread, and what their change takes away. */
export function planPrivileges(arena: Arena, process: Process, thread: Thread): Op[] {
  const ops = planCredentials(arena, process.credentials);
  if (thread.parentDeathSignal !== 0) {
    ops.push(prctl('PR_SET_PDEATHSIG', PR_SET_PDEATHSIG, [thread.parentDeathSignal]));
  }
  return ops;
}

/** prctl(2) settings by their tables. */
export function planSettings(table: readonly PrctlSetting[], settings: Thread['settings']): Op[] {
  return settings.flatMap(({ option, which, value }) => {
    const row = table.find(({ set, several, before }) => set === option && (!several || before === which));
    if (!row) throw new ImageError(`the snapshot is damaged: prctl(2) option ${option} is none of a process`);
    return [
      prctl(row.name, row.set, [...(row.before === undefined ? [] : [row.before]), value], {
        label: `cannot set ${row.name} to ${value}`,
        ...(row.tolerated ? { check: tolerate(...row.tolerated) } : {}),
      }),
    ];
  });
}

function planStack(arena: Arena, thread: Thread): Op[] {
  const { address, flags, size } = thread.alternateStack;
  const bytes = Buffer.alloc(24);
  bytes.writeBigUInt64LE(address, 0);
  bytes.writeUInt32LE(flags >>> 0, 8);
  bytes.writeBigUInt64LE(size, 16);
  return [
    call('sigaltstack', [arena.bytes(bytes), 0], {
      label: `cannot set the alternate signal stack of thread ${thread.tid}`,
    }),
  ];
}

function planScheduling(arena: Arena, thread: Thread): Op[] {
  const ops: Op[] = [prctl('PR_SET_TIMERSLACK', PR_SET_TIMERSLACK, [thread.timerSlack])];
  if (thread.affinity.length > 0) {
    // Processors that are not there on this machine leave the mask empty: EINVAL, and all may be used.
    ops.push(
      call('sched_setaffinity', [0, thread.affinity.length, arena.bytes(thread.affinity)], {
        check: tolerate('EINVAL'),
      }),
    );
  }
  if (thread.policy !== 0) {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(thread.priority);
    ops.push(
      call('sched_setscheduler', [0, thread.policy, arena.bytes(bytes)], {
        label: `cannot set scheduling policy ${thread.policy}, priority ${thread.priority} of thread ${thread.tid}`,
        check: tolerate('EPERM'),
      }),
    );
  }
  if (thread.nice !== 0) {
    ops.push(
      call('setpriority', [PRIO_PROCESS, 0, thread.nice], {
        label: `cannot set nice value ${thread.nice} of thread ${thread.tid}`,
        check: tolerate('EPERM', 'EACCES'),
      }),
    );
  }
  if (thread.ioPriority !== 0) {
    // Needs a privilege for the real-time class; a kernel without block devices does not know it.
    ops.push(
      call('ioprio_set', [IOPRIO_WHO_PROCESS, 0, thread.ioPriority], { check: tolerate('EPERM', 'ENOSYS') }),
    );
  }
  return ops;
}

/** Signals that were pending for this thread: only a thread itself may queue them with their origin intact. */
function planPending(arena: Arena, thread: Thread, tid: Cell): Op[] {
  const pid = arena.cell();
  const ops: Op[] = [];
  if (thread.pendingSignals.length > 0) ops.push(call('getpid', [], { result: pid }));
  for (const siginfo of thread.pendingSignals) {
    ops.push(
      call('rt_tgsigqueueinfo', [pid, tid, signalNumber(siginfo), arena.bytes(siginfo)], {
        label: `cannot queue signal ${signalNumber(siginfo)} to thread ${thread.tid}`,
      }),
    );
  }
  return ops;
}

/** `si_signo`. */
export function signalNumber(siginfo: Uint8Array): number {
  return new DataView(siginfo.buffer, siginfo.byteOffset).getInt32(0, true);
}

/** Ids and capabilities, as far as whoever starts the image may take them. */
function planCredentials(arena: Arena, credentials: Credentials): Op[] {
  const { uids, gids, groups, capabilities, secureBits, noNewPrivileges } = credentials;
  const groupList = Buffer.alloc(groups.length * 4);
  groups.forEach((group, i) => {
    groupList.writeUInt32LE(group, i * 4);
  });
  const permitted = tolerate('EPERM', 'EINVAL');
  const { bounding, ambient } = capabilities;
  const raised = {
    ...capabilities,
    effective: capabilities.effective | CAP_SETPCAP,
    permitted: capabilities.permitted | CAP_SETPCAP,
  };
  const keeps = secureBits & SECBIT_KEEP_CAPS ? 1 : 0;
  return [
    prctl('PR_SET_KEEPCAPS', PR_SET_KEEPCAPS, [1], { check: permitted }),
    call('setgroups', [groups.length, arena.bytes(groupList)], { check: permitted }),
    call('setresgid', [gids[0]!, gids[1]!, gids[2]!], { check: permitted }),
    // While CAP_SETPCAP is in effect: another user than root has nothing in effect at first, only permitted.
    ...without(bounding).map((capability) =>
      prctl('PR_CAPBSET_DROP', PR_CAPBSET_DROP, [capability], { check: permitted }),
    ),
    call('setresuid', [uids[0]!, uids[1]!, uids[2]!], { check: permitted }),
    call('setfsgid', [gids[3]!], { check: { kind: 'none' } }),
    call('setfsuid', [uids[3]!], { check: { kind: 'none' } }),
    planCapabilities(arena, secureBits === 0 ? capabilities : raised),
    ...without(~ambient).map((capability) =>
      prctl('PR_CAP_AMBIENT', PR_CAP_AMBIENT, [PR_CAP_AMBIENT_RAISE, capability], { check: permitted }),
    ),
    // They may forbid to raise what is ambient, and to change what is kept.
    ...(secureBits === 0
      ? []
      : [
          prctl('PR_SET_SECUREBITS', PR_SET_SECUREBITS, [secureBits], { check: permitted }),
          planCapabilities(arena, capabilities),
        ]),
    prctl('PR_SET_KEEPCAPS', PR_SET_KEEPCAPS, [keeps], { check: permitted }),
    ...(noNewPrivileges ? [prctl('PR_SET_NO_NEW_PRIVS', PR_SET_NO_NEW_PRIVS, [1])] : []),
  ];
}

/** CAP_CHECKPOINT_RESTORE. */
const LAST_CAPABILITY = 40;
const CAP_SETPCAP = 1n << 8n;

/** Numbers of the capabilities that a set does not have. */
function without(set: bigint): number[] {
  return Array.from({ length: LAST_CAPABILITY + 1 }, (_, i) => i).filter((i) => !(set & (1n << BigInt(i))));
}

function planCapabilities(arena: Arena, capabilities: Credentials['capabilities']): Op {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(LINUX_CAPABILITY_VERSION_3);
  const data = Buffer.alloc(24);
  const sets = [capabilities.effective, capabilities.permitted, capabilities.inheritable];
  sets.forEach((set, i) => {
    data.writeUInt32LE(Number(set & 0xffff_ffffn), i * 4);
    data.writeUInt32LE(Number(set >> 32n), 12 + i * 4);
  });
  return call('capset', [arena.bytes(header), arena.bytes(data)], { check: tolerate('EPERM') });
}
