/**
 * Which call a thread is in that was interrupted before. After any stop (SIGSTOP, a debugger, a freeze)
 * the kernel goes on with a relative sleep through restart_syscall(2), and from then on shows that call's
 * number instead of the program's. The arguments still stand in the registers, and only four calls are
 * begun anew in this way.
 */
import { decodeRegisters, encodeRegisters, type RegisterSet } from '../snapshot/registers.js';
import { callState } from './resume.js';

/** restart_syscall(2). */
export const SYS_RESTART_SYSCALL = 219n;

/** How much can be learned of a thread. */
export interface RestartClues {
  /** `/proc/PID/task/TID/wchan`, read before the stop: the kernel function it slept in; '' if not known. */
  readonly wchan: string;
  /** Reads the target's memory; throws where there is none. */
  readonly readMemory: (address: bigint, size: number) => Buffer;
}

interface Candidate {
  readonly number: number;
  readonly name: string;
  /** Whether the registers can be this call's arguments. */
  fits(set: RegisterSet, clues: RestartClues): boolean;
  /** Names of the kernel functions in which it may be seen to sleep. */
  readonly sleepsIn: RegExp;
}

const FUTEX_FLAGS = 128n | 256n;
const FUTEX_WAIT = 0n;
const FUTEX_WAIT_BITSET = 9n;
const LARGEST_CLOCK = 15n;
const MOST_POLLED = 1n << 20n;

/** The sleeps have no function of their own there, once begun anew: whatever is not one of the others. */
const UNNAMED = /^(?!.*(poll|futex))/;

const CANDIDATES: readonly Candidate[] = [
  {
    number: 35,
    name: 'nanosleep',
    fits: ({ rdi, rsi }, clues) => isTimespec(rdi, clues) && isOptional(rsi, 16, clues),
    sleepsIn: UNNAMED,
  },
  {
    number: 230,
    name: 'clock_nanosleep',
    fits: ({ rdi, rsi, rdx, r10 }, clues) =>
      isClock(rdi) && BigInt.asIntN(32, rsi) === 0n && isTimespec(rdx, clues) && isOptional(r10, 16, clues),
    sleepsIn: UNNAMED,
  },
  {
    number: 7,
    name: 'poll',
    fits: ({ rdi, rsi, rdx }, clues) =>
      isInt(rdx) &&
      BigInt.asIntN(32, rdx) !== 0n &&
      BigInt.asUintN(32, rsi) < MOST_POLLED &&
      (BigInt.asUintN(32, rsi) === 0n || isReadable(rdi, 8, clues)),
    sleepsIn: /poll/,
  },
  {
    number: 202,
    name: 'futex',
    fits: ({ rdi, rsi, r10 }, clues) =>
      [FUTEX_WAIT, FUTEX_WAIT_BITSET].includes(BigInt.asUintN(32, rsi) & ~FUTEX_FLAGS) &&
      rdi % 4n === 0n &&
      isReadable(rdi, 4, clues) &&
      isTimespec(r10, clues),
    sleepsIn: /futex/,
  },
];

/** Whether the kernel shows restart_syscall(2) in place of the call that the thread made. */
export function isRestarted(registers: Uint8Array): boolean {
  const set = decodeRegisters(registers);
  return set.orig_rax === SYS_RESTART_SYSCALL && callState(set) === 'restart-block';
}

/**
 * The registers with the number of the program's own call in orig_rax; `null` if more than one call, or
 * none, is in question.
 */
export function withOriginalCall(registers: Uint8Array, clues: RestartClues): Uint8Array | null {
  const set = decodeRegisters(registers);
  const fitting = CANDIDATES.filter((candidate) => candidate.fits(set, clues));
  const found = only(fitting) ?? only(narrowed(fitting, set, clues));
  return found ? encodeRegisters({ ...set, orig_rax: BigInt(found.number) }) : null;
}

function only<T>(list: readonly T[]): T | null {
  return list.length === 1 ? list[0]! : null;
}

/** By where it slept; where several are left, by the number that the code before `syscall` loads. */
function narrowed(
  fitting: readonly Candidate[],
  set: RegisterSet,
  clues: RestartClues,
): readonly Candidate[] {
  const known = !/^0?$/.test(clues.wchan);
  const left = known ? fitting.filter(({ sleepsIn }) => sleepsIn.test(clues.wchan)) : fitting;
  return left.length > 1 ? left.filter(({ number }) => isLoaded(number, set.rip, clues)) : left;
}

const SYSCALL_LENGTH = 2n;
const LOOK_BACK = 24n;

/** Whether `mov $number, %eax` stands shortly before the `syscall` instruction. */
function isLoaded(number: number, rip: bigint, { readMemory }: RestartClues): boolean {
  const load = Buffer.alloc(5, 0xb8);
  load.writeUInt32LE(number, 1);
  try {
    return readMemory(rip - SYSCALL_LENGTH - LOOK_BACK, Number(LOOK_BACK)).includes(load);
  } catch {
    return false;
  }
}

/** A clock's id: small, or negative for clocks of processes and devices. */
function isClock(id: bigint): boolean {
  return isInt(id) && BigInt.asIntN(32, id) <= LARGEST_CLOCK;
}

/** As an `int`, whose sign may or may not be extended into the upper half of the register. */
function isInt(value: bigint): boolean {
  return value >> 32n === 0n || BigInt.asIntN(64, value) === BigInt.asIntN(32, value);
}

function isReadable(address: bigint, size: number, { readMemory }: RestartClues): boolean {
  try {
    return readMemory(address, size).length === size;
  } catch {
    return false;
  }
}

function isOptional(address: bigint, size: number, clues: RestartClues): boolean {
  return address === 0n || isReadable(address, size, clues);
}

function isTimespec(address: bigint, clues: RestartClues): boolean {
  try {
    const bytes = clues.readMemory(address, 16);
    const nanoseconds = bytes.readBigInt64LE(8);
    return bytes.readBigInt64LE(0) >= 0n && nanoseconds >= 0n && nanoseconds < 1_000_000_000n;
  } catch {
    return false;
  }
}
