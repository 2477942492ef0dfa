/**
 * Sleeps that were cut short by the freeze. A call with a relative timeout must go on for the time
 * that was left, yet the program's registers and memory must stay as they are. So the thread goes
 * on in a short stub in the trampoline page: it makes the call with the time left, puts the changed
 * register back and jumps behind the program's own `syscall` instruction. (The kernel's own means,
 * the restart block, is lost in rt_sigreturn.)
 */
import { decodeRegisters, encodeRegisters } from '../snapshot/registers.js';
import type { Thread } from '../snapshot/schema.js';

/** How a call takes its timeout: the register, and a pointer to a timespec or milliseconds. */
export interface TimeoutArgument {
  readonly register: 'rdi' | 'rsi' | 'rdx' | 'r10' | 'r8';
  readonly kind: 'timespec' | 'milliseconds';
}

const NANOSLEEP = 35;
const CLOCK_NANOSLEEP = 230;
const FUTEX = 202;
const TIMER_ABSTIME = 1n;
const FUTEX_WAIT = 0n;
const FUTEX_COMMAND_MASK = ~(128n | 256n); // FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME

/** Calls with a relative timeout that the kernel neither writes back nor can be asked for. */
const TIMEOUTS: Readonly<Record<number, TimeoutArgument>> = {
  7: { register: 'rdx', kind: 'milliseconds' }, // poll
  35: { register: 'rdi', kind: 'timespec' }, // nanosleep
  128: { register: 'rdx', kind: 'timespec' }, // rt_sigtimedwait
  202: { register: 'r10', kind: 'timespec' }, // futex
  208: { register: 'r8', kind: 'timespec' }, // io_getevents
  220: { register: 'r10', kind: 'timespec' }, // semtimedop
  230: { register: 'rdx', kind: 'timespec' }, // clock_nanosleep
  232: { register: 'r10', kind: 'milliseconds' }, // epoll_wait
  281: { register: 'r10', kind: 'milliseconds' }, // epoll_pwait
  333: { register: 'r8', kind: 'timespec' }, // io_pgetevents
  441: { register: 'r10', kind: 'timespec' }, // epoll_pwait2
};

/** The relative timeout of the call that these registers stand in, or `null` if it has none. */
export function timeoutArgument(number: number, registers: Uint8Array): TimeoutArgument | null {
  const argument = TIMEOUTS[number];
  if (!argument) return null;
  const set = decodeRegisters(registers);
  if (number === CLOCK_NANOSLEEP && set.rsi & TIMER_ABSTIME) return null;
  if (number === FUTEX && (set.rsi & FUTEX_COMMAND_MASK) !== FUTEX_WAIT) return null;
  if (argument.kind === 'timespec') return set[argument.register] === 0n ? null : argument;
  return BigInt.asIntN(32, set[argument.register]) < 0n ? null : argument;
}

/** Whether `rsi` of the call points to where the kernel has written the time left. */
export function remainderPointer(number: number, registers: Uint8Array): bigint {
  const set = decodeRegisters(registers);
  if (number === NANOSLEEP) return set.rsi;
  if (number === CLOCK_NANOSLEEP) return set.r10;
  return 0n;
}

/** Size of a stub in bytes, its timespec included. */
export const STUB_SIZE = 56;
const TIMESPEC = 40;
/** Where the code holds what the way back needs: numbers of the call, original register, address behind the call. */
const NUMBER = 11;
const ORIGINAL = 19;
const AFTER = 29;
const CODE_SYSCALL = 15;
const CODE_SIZE = 39;
const MOV_IMM64: Readonly<Record<TimeoutArgument['register'], readonly [number, number]>> = {
  rdi: [0x48, 0xbf],
  rsi: [0x48, 0xbe],
  rdx: [0x48, 0xba],
  r10: [0x49, 0xba],
  r8: [0x49, 0xb8],
};

/**
 * Builds the stub of a thread, to lie at `address`, and the registers that enter it.
 * `thread.registers` stand at the thread's own `syscall` instruction.
 */
export function buildStub(
  address: bigint,
  thread: Thread,
): { stub: Uint8Array; registers: Uint8Array } | null {
  if (!thread.sleep) return null;
  const argument = timeoutArgument(thread.sleep.number, thread.registers);
  if (!argument) return null;
  const set = decodeRegisters(thread.registers);
  const original = set[argument.register];
  const after = set.rip + 2n;
  const stub = Buffer.alloc(STUB_SIZE);
  const { remaining } = thread.sleep;
  stub.writeBigInt64LE(remaining / 1_000_000_000n, TIMESPEC);
  stub.writeBigInt64LE(remaining % 1_000_000_000n, TIMESPEC + 8);
  const changed =
    argument.kind === 'timespec' ? address + BigInt(TIMESPEC) : (remaining + 999_999n) / 1_000_000n;
  const move = MOV_IMM64[argument.register];
  stub.set(move, 0); // movabs $changed, %reg
  stub.writeBigUInt64LE(changed, 2);
  stub.writeUInt8(0xb8, 10); // mov $number, %eax
  stub.writeUInt32LE(thread.sleep.number, NUMBER);
  stub.set([0x0f, 0x05], CODE_SYSCALL);
  stub.set(move, 17); // movabs $original, %reg
  stub.writeBigUInt64LE(original, ORIGINAL);
  stub.set([0x48, 0xb9], 27); // movabs $after, %rcx: as the syscall instruction itself would leave it
  stub.writeBigUInt64LE(after, AFTER);
  stub.set([0xff, 0xe1], 37); // jmp *%rcx
  set.rip = address;
  return { stub, registers: encodeRegisters(set) };
}

/**
 * Where a thread was frozen inside a stub: its registers as if it stood in the program's own call.
 * @param stub the stub's bytes
 * @param address its address
 */
export function leaveStub(registers: Uint8Array, stub: Uint8Array, address: bigint): Uint8Array {
  const set = decodeRegisters(registers);
  const view = Buffer.from(stub.buffer, stub.byteOffset, stub.byteLength);
  const position = Number(set.rip - address);
  if (position < 0 || position >= CODE_SIZE) return registers;
  const after = view.readBigUInt64LE(AFTER);
  const register = registerOf(view);
  if (!register) return registers;
  set[register] = view.readBigUInt64LE(ORIGINAL);
  if (position <= CODE_SYSCALL) {
    // Before the call, or set back onto it: the call is still to be made.
    set.rip = after - 2n;
    set.rax = BigInt(view.readUInt32LE(NUMBER));
  } else {
    set.rip = after;
    set.rcx = after;
  }
  return encodeRegisters(set);
}

/** The register that a stub changes, by the opcode that puts it back. */
function registerOf(stub: Uint8Array): TimeoutArgument['register'] | undefined {
  const names = ['rdi', 'rsi', 'rdx', 'r10', 'r8'] as const;
  return names.find((name) => MOV_IMM64[name][0] === stub[0] && MOV_IMM64[name][1] === stub[1]);
}

/** The time that a stub at which a thread was frozen has yet to wait, ns: as written when it was made. */
export function stubRemaining(stub: Uint8Array): bigint {
  const view = Buffer.from(stub.buffer, stub.byteOffset, stub.byteLength);
  return view.readBigInt64LE(TIMESPEC) * 1_000_000_000n + view.readBigInt64LE(TIMESPEC + 8);
}
