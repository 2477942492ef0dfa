/** The calls in which threads sleep, where the kernel names another in their stead. */
import type { ThreadState } from '../native/tracer.js';
import { decodeRegisters } from '../snapshot/registers.js';
import { readMemory } from './infect.js';
import { isRestarted, withOriginalCall } from './restarted.js';
import type { SleepHint } from './sleep.js';

/** What the kernel shows as restart_syscall(2), by the program's own call. Maps are by thread. */
export interface NamedCalls {
  readonly registers: ReadonlyMap<number, Uint8Array>;
  readonly numbers: ReadonlyMap<number, number>;
  readonly hints: ReadonlyMap<number, SleepHint>;
  readonly problems: readonly string[];
}

/** Names them. */
export function nameCalls(
  states: readonly ThreadState[],
  mem: number,
  seen: ReadonlyMap<number, SleepHint>,
): NamedCalls {
  const named = { registers: new Map(), numbers: new Map(), hints: new Map(seen), problems: [] as string[] };
  for (const { tid, registers } of states) {
    if (!isRestarted(registers)) continue;
    const hint = seen.get(tid);
    const original = withOriginalCall(registers, {
      wchan: hint?.wchan ?? '',
      readMemory: (address, size) => readMemory(mem, address, size),
    });
    if (!original) {
      named.problems.push(
        `thread ${tid} sleeps in a call that was interrupted before, and the kernel does not tell which: try again when it is over`,
      );
      continue;
    }
    const number = Number(decodeRegisters(original).orig_rax);
    named.registers.set(tid, original);
    named.numbers.set(tid, number);
    if (hint) named.hints.set(tid, { ...hint, number });
  }
  return named;
}
