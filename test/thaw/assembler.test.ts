import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Arena } from '../../src/thaw/arena.js';
import {
  assemble,
  assembleOps,
  HEADER_SIZE,
  OP_SIZE,
  OPTION_SIZE,
  PROGRAM_SIZE,
  THAW_MAGIC,
  THAW_VERSION,
  TOLERATE_ANY,
} from '../../src/thaw/assembler.js';
import { makeBlob } from '../../src/thaw/blob.js';
import { BUILTINS, Flag, type Op } from '../../src/thaw/program.js';
import { SYSCALL_NUMBERS } from '../../src/thaw/syscall-numbers.js';

/** What a C program that includes `header` prints for some expressions. */
function evaluate(include: string, expressions: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'proc2elf-assembler-'));
  const source = join(folder, 'values.c');
  const lines = expressions.map((expression) => `printf("%lld\\n", (long long)(${expression}));`);
  writeFileSync(
    source,
    `#include <stdio.h>\n#include <stddef.h>\n#include ${include}\nint main(void) {\n${lines.join('\n')}\n}\n`,
  );
  execFileSync('gcc', ['-I.', '-o', join(folder, 'values'), source]);
  const values = execFileSync(join(folder, 'values'), { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  return values.trim().split('\n');
}

test('sizes and numbers are those of program.h', (t) => {
  const values = evaluate('"native/interpreter/program.h"', [
    'sizeof (struct op)',
    'sizeof (struct program)',
    'sizeof (struct option)',
    'sizeof (struct thaw_header)',
    'THAW_MAGIC',
    'THAW_VERSION',
    'TOLERATE_ANY',
    'BLOB_THAW_ENTRY',
    'BLOB_QUERY_ENTRY',
    'BLOB_HEADER_ADDRESS',
    'BLOB_IMAGE_SIZE',
    'offsetof (struct op, jump)',
    'offsetof (struct op, text)',
    'offsetof (struct thaw_header, messages)',
    'offsetof (struct thaw_header, undo_program)',
    ...Object.keys(Flag).map((name) => `FLAG_${name}`),
    ...BUILTINS.map((name) => `BUILTIN_${name.toUpperCase()}`),
  ]);
  const blob = makeBlob(new Uint8Array());
  const expected = [
    ...[
      OP_SIZE,
      PROGRAM_SIZE,
      OPTION_SIZE,
      HEADER_SIZE,
      THAW_MAGIC,
      THAW_VERSION,
      TOLERATE_ANY,
      blob.entry,
      blob.queryEntry,
      blob.headerAddress,
      blob.imageSize,
      88,
      112,
      80,
      176,
    ],
    ...Object.values(Flag),
    ...BUILTINS.map((_, i) => i + 1),
  ];
  t.deepEqual(values, expected.map(String));
});

test("numbers of system calls are the kernel's", (t) => {
  const names = Object.keys(SYSCALL_NUMBERS);
  // The headers of Debian 12 are those of Linux 6.1, which ends at 450.
  const newer = Object.entries(SYSCALL_NUMBERS).filter(([, number]) => number > 450);
  const missing = newer.map(([name, n]) => `#ifndef __NR_${name}\n#define __NR_${name} ${n}\n#endif`);
  const values = evaluate(
    ['<asm/unistd.h>', ...missing].join('\n'),
    names.map((name) => `__NR_${name}`),
  );
  t.deepEqual(values, Object.values(SYSCALL_NUMBERS).map(String));
});

function assembleOne(...ops: Op[]): Buffer {
  const arena = new Arena(0x1000n);
  const { address, count } = assembleOps(arena, ops);
  const at = Number(address - 0x1000n);
  return Buffer.from(arena.toBytes()).subarray(at, at + count * OP_SIZE);
}

test('cells become indirect operands, negative numbers two complements', (t) => {
  const op = assembleOne({ op: 'syscall', name: 'openat', args: [-100, { cell: 0x5000n }, 0, 0o644] });
  t.is(op.readUInt16LE(0), 1);
  t.is(op.readUInt16LE(2), 257);
  t.is(op.readUInt8(5), 0b10);
  t.is(op.readBigInt64LE(16), -100n);
  t.is(op.readBigUInt64LE(24), 0x5000n);
});

test('marks take no space, and jumps count from 1', (t) => {
  const ops = assembleOne(
    { op: 'jump', to: 'b' },
    { op: 'mark', name: 'a' },
    { op: 'exit', status: 1 },
    { op: 'mark', name: 'b' },
    { op: 'syscall', name: 'getpid', args: [], check: { kind: 'ok', tolerated: ['EPERM'], jump: 'a' } },
    { op: 'syscall', name: 'getpid', args: [], check: { kind: 'ok', jump: 'end' } },
    { op: 'mark', name: 'end' },
  );
  t.is(ops.length, 4 * OP_SIZE);
  t.is(ops.readUInt32LE(88), 3);
  t.is(ops.readUInt32LE(2 * OP_SIZE + 88), 2);
  t.is(ops.readInt16LE(2 * OP_SIZE + 80), 1);
  t.is(ops.readUInt32LE(3 * OP_SIZE + 88), 5);
  t.is(ops.readInt16LE(3 * OP_SIZE + 80), TOLERATE_ANY);
});

test('mistakes of the planner are errors', (t) => {
  const bad = (op: Op): void => {
    assembleOne(op);
  };
  t.throws(() => bad({ op: 'jump', to: 'nowhere' }), { message: /nowhere/ });
  t.throws(() => bad({ op: 'syscall', name: 'frobnicate', args: [] }), { message: /frobnicate/ });
  t.throws(
    () => bad({ op: 'syscall', name: 'getpid', args: [], check: { kind: 'ok', tolerated: ['EWHAT'] } }),
    { message: /EWHAT/ },
  );
  const many = ['EPERM', 'EINTR', 'EBADF', 'EAGAIN', 'ENOENT'];
  t.throws(() => bad({ op: 'syscall', name: 'getpid', args: [], check: { kind: 'ok', tolerated: many } }));
});

test('the same programs give the same bytes', (t) => {
  const bytes = (): Uint8Array => {
    const arena = new Arena(0x1000n);
    assemble(arena, [{ name: 'main', ops: [{ op: 'exit', status: 0 }] }], [{ name: '--x', set: 1 }], {
      flags: 0,
      usageProgram: 0,
      stackTop: 0x9000n,
    });
    return arena.toBytes();
  };
  t.deepEqual(bytes(), bytes());
});
