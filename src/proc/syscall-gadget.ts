/** Finds a `syscall` instruction in the target, through which calls are made in it. */
import { TargetError } from '../errors.js';
import { readMemory } from './infect.js';
import type { Mapping } from './maps.js';

const SYSCALL = Buffer.from([0x0f, 0x05]);
const CHUNK = 1 << 20;

/** Address of a `syscall` instruction: in the vDSO, else in any executable mapping. */
export function findSyscall(mem: number, mappings: readonly Mapping[]): bigint {
  const executable = mappings.filter((m) => (m.prot & 5) === 5 && m.path !== '[vsyscall]');
  const ordered = [
    ...executable.filter((m) => m.path === '[vdso]'),
    ...executable.filter((m) => m.path !== '[vdso]'),
  ];
  for (const { start, end } of ordered) {
    for (let at = start; at < end; at += BigInt(CHUNK)) {
      const size = Number(end - at < BigInt(CHUNK) ? end - at : BigInt(CHUNK));
      let found: number;
      try {
        found = readMemory(mem, at, size).indexOf(SYSCALL);
      } catch {
        break; // behind the end of the mapped file
      }
      if (found >= 0) return at + BigInt(found);
    }
  }
  throw new TargetError('the process has no system call instruction in its executable memory');
}
