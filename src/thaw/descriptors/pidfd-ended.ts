/**
 * A process that ends as one did of which a pidfd is left. It is a child of ours, made without a signal that would tell
 * of its end, and waited for: nothing is left of it but what its descriptors tell.
 */
import { PIDFD_GET_INFO, PIDFD_INFO, PIDFD_INFO_AT, PIDFD_INFO_SIZE } from '../../pidfd.js';
import { call, type Extra, prctl, show, testField } from '../calls.js';
import type { Cell, Op, Operand } from '../program.js';
import type { Bench } from './bench.js';

const P_PID = 1;
const WEXITED = 4;
/** wait(2) waits only so for a child that sends no SIGCHLD. */
const WALL = 0x4000_0000;
const SIG_SETMASK = 2;
const PR_SET_DUMPABLE = 4;
/** `struct sigaction` of the kernel: SIG_DFL, and nothing else. */
const DEFAULT_ACTION = new Uint8Array(32);
/** Bytes of a signal mask. */
const MASK = 8;
/** For whom no such process can be had. */
export const ADVICE = 'proc2elf rewrite can leave the descriptor out (--drop-fd)';

/**
 * Makes descriptors of a process that ends.
 * @param exit how it ends, as wait(2) has it; `null`: nobody can tell
 * @param make what makes them, while its id is taken
 * @param fd one of them
 * @param name of the first, for messages
 */
export function makeEnded(
  exit: number | null,
  make: (id: Cell) => readonly Op[],
  fd: Operand,
  name: string,
  bench: Bench,
): Op[] {
  const id = bench.arena.cell();
  const parent = bench.mark();
  const label = `cannot make a process that ends (${name})`;
  return [
    call('clone', [0, 0, 0, 0, 0], { label, result: id }),
    testField(id.cell, 4, 0, { jump: parent, text: 'test whether it is the child that goes on here' }),
    ...end(exit ?? 0, bench),
    { op: 'mark', name: parent },
    ...make(id),
    call('waitid', [P_PID, id, 0, WEXITED | WALL, 0], {
      label,
      text: 'waitid(P_PID, child, NULL, WEXITED|__WALL, NULL)',
    }),
    ...verify(exit, fd, label, bench),
  ];
}

/** What the child does; whether it has ended so is for us to find out. */
function end(exit: number, { arena, scratch }: Bench): Op[] {
  const quit = (status: number) => call('exit_group', [status], { check: { kind: 'none' } });
  if ((exit & 0xff) === 0) return [quit(exit >> 8)];
  const self: Cell = { cell: scratch };
  const either = { check: { kind: 'none' } } as const;
  return [
    // Some signals would have it dump its memory.
    prctl('PR_SET_DUMPABLE', PR_SET_DUMPABLE, [0], either),
    call('rt_sigaction', [exit, arena.bytes(DEFAULT_ACTION), 0, MASK], either),
    call('rt_sigprocmask', [SIG_SETMASK, arena.bytes(new Uint8Array(MASK)), 0, MASK], either),
    call('getpid', [], { ...either, result: self }),
    call('kill', [self, exit], either),
    quit(0),
  ];
}

/** What the kernel tells must be what it told; one that tells less than the other did is an older one. */
function verify(exit: number | null, fd: Operand, label: string, bench: Bench): Op[] {
  const request = Buffer.alloc(PIDFD_INFO_SIZE);
  request.writeBigUInt64LE(BigInt(PIDFD_INFO.EXIT | PIDFD_INFO.COREDUMP), PIDFD_INFO_AT.MASK);
  const info = bench.arena.bytes(request);
  const silent = bench.mark();
  const tells = (expected: number, extra: Extra): Op => ({
    ...{ op: 'test', address: info + BigInt(PIDFD_INFO_AT.MASK), width: 4, mask: BigInt(PIDFD_INFO.EXIT) },
    check: { kind: 'equal', expected },
    text: 'test pidfd_info.mask & PIDFD_INFO_EXIT',
    ...extra,
  });
  const field = (name: string, at: number, expected: number): Op =>
    testField(info + BigInt(at), 4, expected, {
      ...{ label, text: `test pidfd_info.${name} == ${expected}` },
      reason: `this kernel tells another end of it (${name}): ${ADVICE}`,
    });
  const reason = `this kernel tells how a process has ended, and that of the freeze did not: ${ADVICE}`;
  return [
    call('ioctl', [fd, PIDFD_GET_INFO, info], {
      ...{ check: { kind: 'ok', jump: silent }, text: `ioctl(${show(fd)}, PIDFD_GET_INFO)` },
    }),
    ...(exit === null
      ? [tells(0, { label, reason })]
      : [
          tells(PIDFD_INFO.EXIT, { check: { kind: 'equal', expected: PIDFD_INFO.EXIT, jump: silent } }),
          field('exit_code', PIDFD_INFO_AT.EXIT_CODE, exit),
          field('coredump_mask', PIDFD_INFO_AT.COREDUMP_MASK, 0),
        ]),
    { op: 'mark', name: silent },
  ];
}
