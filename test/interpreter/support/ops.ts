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

/** From here on a seccomp filter refuses one system call, by number, with EPERM. */
export function refuse(arena: Arena, number: number): Op[] {
  const instruction = (op: number, jt: number, jf: number, k: number): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16LE(op, 0);
    bytes.writeUInt8(jt, 2);
    bytes.writeUInt8(jf, 3);
    bytes.writeUInt32LE(k, 4);
    return bytes;
  };
  const filter = arena.bytes(
    Buffer.concat([
      instruction(0x20, 0, 0, 0), // load the number
      instruction(0x15, 0, 1, number),
      instruction(0x06, 0, 0, 0x0005_0001), // SECCOMP_RET_ERRNO, EPERM
      instruction(0x06, 0, 0, 0x7fff_0000), // SECCOMP_RET_ALLOW
    ]),
  );
  const program = Buffer.alloc(16);
  program.writeUInt16LE(4, 0);
  program.writeBigUInt64LE(filter, 8);
  return [
    call('prctl', [38, 1, 0, 0, 0]), // PR_SET_NO_NEW_PRIVS
    call('prctl', [22, 2, arena.bytes(program), 0, 0]), // PR_SET_SECCOMP, SECCOMP_MODE_FILTER
  ];
}
