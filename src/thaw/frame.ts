/**
 * The signal frame that rt_sigreturn(2) reloads a thread from: `struct ucontext` and, behind it,
 * the XSAVE area. Layout: arch/x86/include/uapi/asm/sigcontext.h and asm-generic/ucontext.h.
 */
import { decodeRegisters, type Register } from '../snapshot/registers.js';

/** Bytes of `struct ucontext` with the 8-byte signal mask. */
export const UCONTEXT_SIZE = 304;
/** The XSAVE area lies here in the frame, 64-byte aligned if the frame is. */
export const FPSTATE_OFFSET = 320;
/** Offset in the frame of the pointer to the XSAVE area. */
export const FPSTATE_POINTER = 224;

const UC_FP_XSTATE = 1n;
const UC_SIGCONTEXT_SS = 2n;
const UC_STRICT_RESTORE_SS = 4n;

/** `struct sigcontext`: offset in the frame of each register. */
const OFFSETS: readonly (readonly [Register, number])[] = [
  ['r8', 40],
  ['r9', 48],
  ['r10', 56],
  ['r11', 64],
  ['r12', 72],
  ['r13', 80],
  ['r14', 88],
  ['r15', 96],
  ['rdi', 104],
  ['rsi', 112],
  ['rbp', 120],
  ['rbx', 128],
  ['rdx', 136],
  ['rax', 144],
  ['rcx', 152],
  ['rsp', 160],
  ['rip', 168],
  ['eflags', 176],
];

/** Where a register lies in a frame, bytes. */
export function frameOffset(register: 'rax' | 'rip'): bigint {
  return BigInt(OFFSETS.find(([name]) => name === register)![1]);
}

/** What rt_sigreturn(2) loads from a signal frame: the state of one thread. */
export interface FrameContent {
  /** `struct user_regs_struct`. */
  registers: Uint8Array;
  signalMask: bigint;
  /** `stack_t`; `null` leaves the alternate stack alone (rt_sigreturn ignores one that is invalid). */
  alternateStack: { address: bigint; flags: number; size: bigint } | null;
  /** XSAVE area as it is to be copied behind the frame. */
  xstate: Uint8Array;
}

/** Builds a frame that will lie at `address` (64-byte aligned). Its XSAVE area is copied as it is. */
export function buildFrame(address: bigint, content: FrameContent, capacity: number): Uint8Array {
  const frame = Buffer.alloc(FPSTATE_OFFSET + capacity);
  const set = decodeRegisters(content.registers);
  frame.writeBigUInt64LE(UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS, 0);
  const stack = content.alternateStack;
  frame.writeBigUInt64LE(stack?.address ?? 0n, 16);
  frame.writeUInt32LE(stack ? stack.flags >>> 0 : 0x7fff, 24);
  frame.writeBigUInt64LE(stack?.size ?? 0n, 32);
  for (const [name, offset] of OFFSETS) frame.writeBigUInt64LE(set[name], offset);
  frame.writeUInt16LE(Number(set.cs), 184);
  frame.writeUInt16LE(Number(set.gs & 0xffffn), 186);
  frame.writeUInt16LE(Number(set.fs & 0xffffn), 188);
  frame.writeUInt16LE(Number(set.ss), 190);
  frame.writeBigUInt64LE(address + BigInt(FPSTATE_OFFSET), FPSTATE_POINTER);
  frame.writeBigUInt64LE(content.signalMask, 296);
  frame.set(content.xstate.subarray(0, capacity), FPSTATE_OFFSET);
  return frame;
}

const FP_XSTATE_MAGIC1 = 0x46505853;
const FP_XSTATE_MAGIC2 = 0x46505845;
const SW_RESERVED = 464;

/**
 * Completes an XSAVE area as ptrace gives it to the form of a signal frame on the same processor:
 * `struct _fpx_sw_bytes` in the legacy area, FP_XSTATE_MAGIC2 behind.
 */
export function signalFrameXstate(xstate: Uint8Array): Uint8Array {
  const area = Buffer.alloc(xstate.length + 4);
  area.set(xstate);
  const features = area.readBigUInt64LE(SW_RESERVED);
  area.fill(0, SW_RESERVED, 512);
  area.writeUInt32LE(FP_XSTATE_MAGIC1, SW_RESERVED);
  area.writeUInt32LE(xstate.length + 4, SW_RESERVED + 4);
  area.writeBigUInt64LE(features, SW_RESERVED + 8);
  area.writeUInt32LE(xstate.length, SW_RESERVED + 16);
  area.writeUInt32LE(FP_XSTATE_MAGIC2, xstate.length);
  return area;
}

/** Legacy area and header. */
const XSAVE_LEAST = 576;

/**
 * An XSAVE area up to its last component that is in use. What ptrace gives has room for all that the
 * processor has; rt_sigreturn takes of an area that is larger than the thread may have (AMX without
 * permission) nothing but the legacy part.
 * @param components where the processor keeps each component
 */
export function trimXstate(
  xstate: Uint8Array,
  components: readonly { readonly offset: number; readonly size: number }[],
): Uint8Array {
  const inUse = xstateInUse(xstate);
  const end = components.reduce(
    (most, { offset, size }, i) => ((inUse >> BigInt(i)) & 1n ? Math.max(most, offset + size) : most),
    XSAVE_LEAST,
  );
  return xstate.subarray(0, end);
}

/** XSTATE_BV: the components that are not in their initial state. */
export function xstateInUse(xstate: Uint8Array): bigint {
  if (xstate.length < 520) return 3n;
  return new DataView(xstate.buffer, xstate.byteOffset).getBigUint64(512, true);
}
