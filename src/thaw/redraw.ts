/** SIGWINCH: full-screen programs draw everything anew, and ask for the size, which may have changed. */
import { decodeRegisters } from '../snapshot/registers.js';
import type { Process, Thread } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { call, tolerate } from './calls.js';
import { frameOffset } from './frame.js';
import type { Op } from './program.js';

const SIGWINCH = 28;
const SIG_IGN = 1n;
const SA_RESTART = 0x1000_0000n;
const EINTR = 4n;
/** Length of the `syscall` instruction. */
const SYSCALL_LENGTH = 2n;

/**
 * Sends the signal from the first thread, whose frame lies at `frame`, as the kernel would choose the thread. A
 * program that waits for a key draws when its call ends: where the handler ends the call, it must have ended.
 */
export function planRedraw(arena: Arena, process: Process, frame: bigint): Op[] {
  const [leader] = process.threads as [Thread, ...Thread[]];
  const pid = arena.cell();
  const takesIt = !(leader.signalMask & (1n << BigInt(SIGWINCH - 1)));
  const check = tolerate('EPERM');
  if (!takesIt) {
    return [
      call('getpid', [], { result: pid }),
      call('kill', [pid, SIGWINCH], { check, text: 'kill(getpid(), SIGWINCH)' }),
    ];
  }
  const tid = arena.cell();
  return [
    call('getpid', [], { result: pid }),
    call('gettid', [], { result: tid }),
    call('tgkill', [pid, tid, SIGWINCH], { check, text: 'tgkill(getpid(), gettid(), SIGWINCH)' }),
    ...(endsCall(process, leader) ? planEnd(leader, frame) : []),
  ];
}

function endsCall({ signalActions }: Process, { interruption }: Thread): boolean {
  const { handler, flags } = signalActions[SIGWINCH - 1]!;
  if (handler <= SIG_IGN || interruption === null) return false;
  return interruption === 'always' || !(flags & SA_RESTART);
}

/** What is written back at the end of a call, such as the time left, was written at the freeze. */
function planEnd({ registers }: Thread, frame: bigint): Op[] {
  const { rip } = decodeRegisters(registers);
  const values = [
    ['rax', BigInt.asUintN(64, -EINTR)],
    ['rip', rip + SYSCALL_LENGTH],
  ] as const;
  return values.map(([register, value]) => ({
    op: 'store',
    address: frame + frameOffset(register),
    width: 8,
    value,
    text: `the call ends with EINTR: ${register} = 0x${value.toString(16)}`,
  }));
}
