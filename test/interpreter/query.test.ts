import { writeFileSync } from 'node:fs';
import test from 'ava';
import { encodeRegisters, REGISTERS, type RegisterSet } from '../../src/snapshot/registers.js';
import { Arena } from '../../src/thaw/arena.js';
import { assembleOps } from '../../src/thaw/assembler.js';
import { buildFrame, signalFrameXstate } from '../../src/thaw/frame.js';
import type { Op } from '../../src/thaw/program.js';
import { buildElf } from './support/elf.js';
import { CODE, codeSegments, initialXstate, WORK } from './support/finish.js';
import { blob, scratchPath } from './support/image.js';
import { call } from './support/ops.js';
import { compileFlat, type Ended, run } from './support/run.js';

const SCRATCH = 0x1000_0000n;
const DATA = 0x1010_0000n;
const STACK = 0x1800_0000n;
const QUERY_ENTRY = 0x10n;
const SIGRETURN = 0;
const JUMP = 1;
const MASK = 0x4a02n;
const code = compileFlat('thawed.S', CODE);

const set = Object.fromEntries(REGISTERS.map((name, i) => [name, 0x1111_0000_0000_0001n * BigInt(i + 1)]));
const registers = { ...set, rip: CODE, cs: 0x33n, ss: 0x2bn, eflags: 0x247n } as RegisterSet;

/** `mov $query, %rdi; mov $stack, %rsp; mov $entry, %rax; jmp *%rax`, as a tracer would start the query. */
function launcher(query: bigint): Buffer {
  const bytes = Buffer.alloc(32);
  [
    [0xbf48, query],
    [0xbc48, STACK],
    [0xb848, SCRATCH + QUERY_ENTRY],
  ].forEach(([opcode, value], i) => {
    bytes.writeUInt16LE(Number(opcode), i * 10);
    bytes.writeBigUInt64LE(BigInt(value!), i * 10 + 2);
  });
  bytes.writeUInt16LE(0xe0ff, 30);
  return bytes;
}

/** Runs a query in a process that nobody traces: it must find its way back by itself. */
function ask(end: number, ops: (arena: Arena) => Op[]): Ended {
  const arena = new Arena(DATA);
  const { address, count } = assembleOps(arena, ops(arena));
  const frameAddress = arena.reserve(0, 64);
  const xstate = signalFrameXstate(initialXstate());
  const frame = { registers: encodeRegisters(registers), signalMask: MASK, alternateStack: null, xstate };
  arena.bytes(buildFrame(frameAddress, frame, xstate.length), 64);
  const query = Buffer.alloc(40);
  query.writeBigUInt64LE(address, 0);
  query.writeUInt32LE(count, 8);
  query.writeUInt32LE(end, 12);
  query.writeBigUInt64LE(frameAddress, 16);
  query.writeBigUInt64LE(arena.bytes(encodeRegisters(registers)), 24);
  query.writeBigUInt64LE(MASK, 32);
  const start = arena.bytes(launcher(arena.bytes(query)));
  const path = scratchPath('query');
  writeFileSync(
    path,
    buildElf(start, [
      { address: SCRATCH, bytes: blob, flags: 5 },
      { address: DATA, bytes: arena.toBytes(), memorySize: Number(STACK - DATA), flags: 7 },
      ...codeSegments(code),
    ]),
    { mode: 0o700 },
  );
  return run(path);
}

const NAMES = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp'] as const;
const NUMBERED = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;

for (const [end, name, clobbered] of [
  [SIGRETURN, 'a signal frame', []],
  [JUMP, 'its registers', ['rcx', 'r11']],
] as const) {
  test(`a query whose tracer is gone returns by ${name}`, (t) => {
    const { stdout, stderr, status } = ask(end, () => []);
    t.is(stderr, '');
    t.is(status, 0);
    [...NAMES, ...NUMBERED].forEach((register, i) => {
      if (!(clobbered as readonly string[]).includes(register))
        t.is(stdout.readBigUInt64LE(i * 8), BigInt.asUintN(64, registers[register]), register);
    });
    t.is(stdout.readBigUInt64LE(128) & 0xcd5n, 0x45n, 'flags');
    t.is(stdout.readBigUInt64LE(136), MASK, 'signal mask');
  });
}

test('results are stored, errors are no more than results, and operands may be cells', (t) => {
  // Stored in the page of words that the thawed code prints.
  const result = (i: number) => ({ cell: WORK + 0x800n + BigInt(i) * 8n });
  const { stdout } = ask(SIGRETURN, (arena) => [
    call('close', [77], { result: result(0) }),
    call('getpid', [], { result: result(1) }),
    call('openat', [-100, arena.string('/dev/null'), 0, 0], { result: result(2) }),
    call('close', [result(2)], { result: result(3) }),
    call('close', [result(2)], { result: result(4) }),
  ]);
  const value = (i: number): bigint => stdout.readBigInt64LE(0x800 + i * 8);
  t.is(value(0), -9n);
  t.true(value(1) > 1n);
  t.true(value(2) > 0n);
  t.is(value(3), 0n);
  t.is(value(4), -9n);
});
