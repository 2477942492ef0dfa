/** Operations that many tests need. */
import type { Arena } from '../../../src/thaw/arena.js';
import type { Op, OpBase, Operand, Program } from '../../../src/thaw/program.js';

/** A system call. */
export function call(name: string, args: readonly Operand[], extra: OpBase = {}): Op {
  return { op: 'syscall', name, args, ...extra };
}

/** Writes a text to standard output. */
export function say(arena: Arena, text: string, extra: OpBase = {}): Op {
  return call('write', [1, arena.string(text), Buffer.byteLength(text)], extra);
}

/** Writes memory to standard output. */
export function dump(address: bigint, size: number): Op {
  return call('write', [1, address, size], { check: { kind: 'equal', expected: size } });
}

export const exit = (status: number, extra: OpBase = {}): Op => ({ op: 'exit', status, ...extra });

/** The program `main`, which exits with 0 at its end. */
export function main(...ops: Op[]): Program {
  return { name: 'main', ops: [...ops, exit(0)] };
}
