/** Finds instructions in the target through which calls are made in it. */
import { TargetError } from '../errors.js';
import { readMemory } from './infect.js';
import type { Mapping } from './maps.js';
import { C_LIBRARY } from './sleep.js';

/** `syscall`, `syscall; ret`. */
const SYSCALL = Buffer.from([0x0f, 0x05]);
const SYSCALL_RET = Buffer.from([0x0f, 0x05, 0xc3]);
/** The restorers of C libraries and Go: `mov $15, %rax` or `%eax`, which is rt_sigreturn(2), and `syscall`. */
const RESTORERS = [
  Buffer.from([0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]),
  Buffer.from([0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05]),
];
const LONGEST = 9;
const CHUNK = 1 << 20;
/** The process stands still while we look: a JIT may have hundreds of megabytes of code. */
const MOST = 64 << 20;

/** Addresses of instructions in the target. */
export interface Gadgets {
  /** A `syscall` instruction; followed by `ret` if there is a restorer. */
  readonly syscall: bigint;
  /** Code that calls rt_sigreturn(2); 0 if none was found: then calls are made without a net. */
  readonly restorer: bigint;
}

/**
 * Finds both, or at least the first.
 * @throws TargetError without any `syscall` instruction
 */
export function findGadgets(mem: number, mappings: readonly Mapping[]): Gadgets {
  let any = 0n;
  let returning = 0n;
  let restorer = 0n;
  for (const { address, bytes } of executableBytes(mem, mappings)) {
    const find = (pattern: Buffer): bigint => {
      const at = bytes.indexOf(pattern);
      return at < 0 ? 0n : address + BigInt(at);
    };
    any ||= find(SYSCALL);
    returning ||= find(SYSCALL_RET);
    for (const pattern of RESTORERS) restorer ||= find(pattern);
    if (returning && restorer) return { syscall: returning, restorer };
  }
  if (!any) throw new TargetError('the process has no system call instruction in its executable memory');
  return { syscall: any, restorer: 0n };
}

/** What may be executed, the C library first, then the smaller mappings, in overlapping pieces. */
function* executableBytes(
  mem: number,
  mappings: readonly Mapping[],
): Generator<{ address: bigint; bytes: Buffer }> {
  let looked = 0;
  const executable = mappings.filter(({ prot, path }) => (prot & 5) === 5 && path !== '[vsyscall]');
  for (const { start, end } of executable.sort((a, b) => rank(a) - rank(b))) {
    for (let at = start; at < end && looked < MOST; at += BigInt(CHUNK)) {
      const left = Number(end - at);
      const size = Math.min(left, CHUNK + LONGEST);
      try {
        yield { address: at, bytes: readMemory(mem, at, size) };
      } catch {
        break; // behind the end of the mapped file
      }
      looked += size;
    }
  }
}

function rank({ path, start, end }: Mapping): number {
  return C_LIBRARY.test(path) ? 0 : Number(end - start);
}
