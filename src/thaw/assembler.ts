/** Turns thaw programs into the structures of `native/interpreter/program.h`. */
import { relieveHeapWithin } from '../heap.js';
import type { Arena } from './arena.js';
import { errnoNumber } from './errno.js';
import {
  BUILTINS,
  type Cell,
  type Check,
  type ImageOption,
  type Op,
  type OpBase,
  type Operand,
  type Program,
} from './program.js';
import { syscallNumber } from './syscall-numbers.js';

/** `sizeof (struct op)`. */
export const OP_SIZE = 128;
/** `sizeof (struct program)`. */
export const PROGRAM_SIZE = 24;
/** `sizeof (struct option)`. */
export const OPTION_SIZE = 32;
/** `sizeof (struct thaw_header)`. */
export const HEADER_SIZE = 184;
/** `THAW_MAGIC`. */
export const THAW_MAGIC = 0x5741_4854_4632_4550n;
/** `THAW_VERSION`. */
export const THAW_VERSION = 3;

/** `OP_*`. */
export const OpCode = {
  syscall: 1,
  read: 2,
  test: 3,
  compare: 4,
  store: 5,
  builtin: 6,
  spawn: 7,
  barrier: 8,
  jump: 9,
  exit: 10,
} as const;

/** `CHECK_*`. */
export const CheckCode = { none: 0, ok: 1, equal: 2, atleast: 3 } as const;

/** `TOLERATE_ANY`. */
export const TOLERATE_ANY = -1;

const MOST_TOLERATED = 4;

/** What goes into the header besides the programs. */
export interface HeaderFields {
  readonly flags: number;
  readonly usageProgram: number;
  /** Index of a program that runs when the thaw fails. */
  readonly undoProgram?: number;
  readonly stackTop: bigint;
  /** Holds, at run time, the descriptor that messages are printed on; without it, standard error. */
  readonly messages?: Cell;
}

/** Places programs, options and the header into the arena. @returns the header's address */
export function assemble(
  arena: Arena,
  programs: readonly Program[],
  options: readonly ImageOption[],
  fields: HeaderFields,
): bigint {
  const table = Buffer.alloc(programs.length * PROGRAM_SIZE);
  programs.forEach((program, i) => {
    const { address, count } = assembleOps(arena, program.ops);
    table.writeBigUInt64LE(address, i * PROGRAM_SIZE);
    table.writeUInt32LE(count, i * PROGRAM_SIZE + 8);
    table.writeBigUInt64LE(arena.string(program.name), i * PROGRAM_SIZE + 16);
  });
  const header = Buffer.alloc(HEADER_SIZE);
  header.writeBigUInt64LE(THAW_MAGIC, 0);
  header.writeUInt32LE(THAW_VERSION, 8);
  header.writeUInt32LE(OP_SIZE, 12);
  header.writeBigUInt64LE(arena.bytes(table), 16);
  header.writeUInt32LE(programs.length, 24);
  header.writeUInt32LE(fields.usageProgram, 28);
  header.writeBigUInt64LE(assembleOptions(arena, options), 32);
  header.writeUInt32LE(options.length, 40);
  header.writeUInt32LE(fields.flags, 44);
  header.writeBigUInt64LE(fields.stackTop, 48);
  header.writeBigUInt64LE(fields.messages?.cell ?? 0n, 80);
  header.writeUInt32LE(fields.undoProgram === undefined ? 0 : fields.undoProgram + 1, 176);
  return arena.bytes(header);
}

function assembleOptions(arena: Arena, options: readonly ImageOption[]): bigint {
  const table = Buffer.alloc(options.length * OPTION_SIZE);
  options.forEach(({ name, set = 0, clear = 0, program, value }, i) => {
    const at = i * OPTION_SIZE;
    table.writeBigUInt64LE(arena.string(name), at);
    table.writeUInt32LE(set, at + 8);
    table.writeUInt32LE(clear, at + 12);
    table.writeUInt32LE(program === undefined ? 0 : program + 1, at + 16);
    table.writeBigUInt64LE(value?.cell ?? 0n, at + 24);
  });
  return arena.bytes(table);
}

/** `offsetof (struct op, jump)`. */
const JUMP_OFFSET = 88;
const FIRST_OPS = 16;

/** So many leave garbage behind that may be worth a collection. */
const OPS_AT_A_TIME = 4096;

type RealOp = Exclude<Op, { op: 'mark' }>;

/** Places the operations of one program into the arena. @throws Error for a jump to no mark */
export function assembleOps(arena: Arena, ops: Iterable<Op>): { address: bigint; count: number } {
  const marks = new Map<string, number>();
  const jumps: { readonly from: Buffer; readonly to: string }[] = [];
  // Encoded one by one, into parts that are each as large as all before: of a process with ten thousand
  // regions there are a hundred thousand, and of one with a thousand threads a thousand times a few.
  let part = Buffer.alloc(FIRST_OPS * OP_SIZE);
  const parts = [part];
  let used = 0;
  let count = 0;
  for (const op of ops) {
    if (op.op === 'mark') {
      marks.set(op.name, count);
      continue;
    }
    if (used === part.length) {
      part = Buffer.alloc(count * OP_SIZE);
      parts.push(part);
      used = 0;
    }
    const out = part.subarray(used, used + OP_SIZE);
    if (count % OPS_AT_A_TIME === 0) relieveHeapWithin();
    encodeOp(arena, op, (to) => jumps.push({ from: out, to }), out);
    used += OP_SIZE;
    count++;
  }
  for (const { from, to } of jumps) {
    const index = marks.get(to);
    if (index === undefined) throw new Error(`a jump to ${to}, which is nowhere in the program`);
    from.writeUInt32LE(index + 1, JUMP_OFFSET);
  }
  parts[parts.length - 1] = part.subarray(0, used);
  const [address] = parts.map((bytes) => arena.bytes(bytes));
  return { address: address!, count };
}

/** Encodes one operation; `jump` takes the marks that it jumps to. */
function encodeOp(arena: Arena, op: RealOp, jump: (to: string) => void, out: Buffer): void {
  const { number, operands, check = { kind: 'ok' } } = partsOf(op);
  out.writeUInt16LE(OpCode[op.op], 0);
  out.writeUInt16LE(number, 2);
  out.writeUInt8(CheckCode[check.kind], 4);
  let indirect = 0;
  operands.forEach((operand, i) => {
    const value = typeof operand === 'object' ? operand.cell : BigInt(operand);
    if (typeof operand === 'object') indirect |= 1 << i;
    out.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + i * 8);
  });
  out.writeUInt8(indirect, 5);
  out.writeUInt32LE((op.when ?? 0) >>> 0, 8);
  out.writeUInt32LE((op.unless ?? 0) >>> 0, 12);
  out.writeBigUInt64LE(op.result?.cell ?? 0n, 64);
  encodeCheck(check, jump, out);
  if (op.op === 'jump') jump(op.to);
  encodeStrings(arena, op, out);
}

/** The interpreter's number, operands and check of an operation. */
function partsOf(op: RealOp): { number: number; operands: readonly Operand[]; check?: Check } {
  switch (op.op) {
    case 'syscall':
      return { number: syscallNumber(op.name), operands: op.args, check: op.check };
    case 'read':
      return {
        number: 0,
        operands: [op.fd, op.address, op.size, op.offset],
        check: op.check ?? { kind: 'equal', expected: op.size },
      };
    case 'test':
      return { number: 0, operands: [op.address, op.width, op.mask], check: op.check };
    case 'compare':
      return {
        number: 0,
        operands: [op.left, op.right, op.size],
        check: op.check ?? { kind: 'equal', expected: 0 },
      };
    case 'store':
      return { number: 0, operands: [op.address, op.width, op.value], check: op.check };
    case 'builtin':
      return { number: BUILTINS.indexOf(op.name) + 1, operands: op.args, check: op.check };
    case 'spawn':
      return { number: 0, operands: [op.program, op.tid, op.stackTop], check: op.check };
    case 'barrier':
      return { number: 0, operands: [op.address, op.parties], check: op.check };
    case 'jump':
      return { number: 0, operands: [], check: op.check };
    case 'exit':
      return { number: 0, operands: [op.status], check: op.check };
  }
}

function encodeCheck(check: Check, jump: (to: string) => void, out: Buffer): void {
  if (check.kind === 'equal' || check.kind === 'atleast') {
    out.writeBigInt64LE(BigInt.asIntN(64, BigInt(check.expected)), 72);
    if (check.jump !== undefined) jump(check.jump);
  } else if (check.kind === 'ok') {
    const { tolerated, jump: to } = check;
    if (tolerated === undefined && to !== undefined) out.writeInt16LE(TOLERATE_ANY, 80);
    encodeTolerated(tolerated ?? [], out);
    if (to !== undefined) jump(to);
  }
}

function encodeTolerated(tolerated: readonly string[], out: Buffer): void {
  if (tolerated.length > MOST_TOLERATED) throw new Error(`${tolerated.length} tolerated errors`);
  tolerated.forEach((name, i) => {
    out.writeInt16LE(errnoNumber(name), 80 + i * 2);
  });
}

function encodeStrings(arena: Arena, op: RealOp & OpBase, out: Buffer): void {
  const string = (text: string | undefined): bigint => (text === undefined ? 0n : arena.string(text));
  out.writeBigUInt64LE(string(op.label), 96);
  out.writeBigUInt64LE(string(op.reason ?? (op.op === 'read' ? 'the image is truncated' : undefined)), 104);
  out.writeBigUInt64LE(string(op.text ?? plainText(op)), 112);
}

/** A text for operations that bring none. */
function plainText(op: RealOp): string | undefined {
  switch (op.op) {
    case 'builtin':
      return `${op.name}(${op.args.map(showOperand).join(', ')})`;
    case 'syscall':
      return `${op.name}(${op.args.map(showOperand).join(', ')})`;
    case 'barrier':
      return `barrier(${op.parties})`;
    case 'exit':
      return `exit_group(${op.status})`;
    case 'store':
      return `store(${showOperand(op.address)}, ${showOperand(op.value)})`;
    case 'test':
      return `test(${showOperand(op.address)}, 0x${op.mask.toString(16)})`;
    case 'compare':
      return `compare(${showOperand(op.left)}, ${showOperand(op.right)}, ${op.size})`;
    case 'read':
      return `pread64(${[op.fd, op.address, op.size, op.offset].map(showOperand).join(', ')})`;
    case 'spawn':
      return `spawn(${op.program}, ${showOperand(op.tid)})`;
    case 'jump':
      return undefined;
  }
}

function showOperand(operand: Operand): string {
  if (typeof operand === 'object') return `[0x${operand.cell.toString(16)}]`;
  return typeof operand === 'bigint' ? `0x${operand.toString(16)}` : String(operand);
}
