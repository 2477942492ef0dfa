/** `struct user_regs_struct` of x86-64 (sys/user.h): 27 words of 8 bytes. */

/** Names in the order of the structure. */
export const REGISTERS = [
  'r15', 'r14', 'r13', 'r12', 'rbp', 'rbx', 'r11', 'r10', 'r9', 'r8', 'rax', 'rcx', 'rdx', 'rsi', 'rdi',
  'orig_rax', 'rip', 'cs', 'eflags', 'rsp', 'ss', 'fs_base', 'gs_base', 'ds', 'es', 'fs', 'gs',
] as const; // biome-ignore format: the order is the structure's
export type Register = (typeof REGISTERS)[number];

/** All registers of a thread by name. */
export type RegisterSet = Record<Register, bigint>;

/** Size of the structure in bytes. */
export const REGISTERS_SIZE = REGISTERS.length * 8;

/** Decodes `struct user_regs_struct`. */
export function decodeRegisters(bytes: Uint8Array): RegisterSet {
  const view = new DataView(bytes.buffer, bytes.byteOffset, REGISTERS_SIZE);
  const set = {} as RegisterSet;
  REGISTERS.forEach((name, i) => {
    set[name] = view.getBigUint64(i * 8, true);
  });
  return set;
}

/** Encodes `struct user_regs_struct`. */
export function encodeRegisters(set: RegisterSet): Uint8Array {
  const bytes = new Uint8Array(REGISTERS_SIZE);
  const view = new DataView(bytes.buffer);
  REGISTERS.forEach((name, i) => {
    view.setBigUint64(i * 8, BigInt.asUintN(64, set[name]), true);
  });
  return bytes;
}
