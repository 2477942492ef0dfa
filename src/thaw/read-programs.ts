/**
 * Reads thaw programs back out of a thaw data segment: the inverse of `assembler.ts`. The bytes are
 * those of a file that anybody may have made: every address, length and count is checked.
 */
import { textOfBytes } from '../byte-text.js';
import { ImageError } from '../errors.js';
import {
  CheckCode,
  HEADER_SIZE,
  OP_SIZE,
  OPTION_SIZE,
  OpCode,
  PROGRAM_SIZE,
  THAW_MAGIC,
  THAW_VERSION,
} from './assembler.js';
import { BUILTINS } from './program.js';

/** Kind of an operation. */
export type OpKind = keyof typeof OpCode;
/** Kind of a test of a result. */
export type CheckKind = keyof typeof CheckCode;

/** An operation as it lies in the image. */
export interface RawOp {
  readonly kind: OpKind;
  /** System call or built-in. */
  readonly number: number;
  /** Six operands, unsigned. */
  readonly args: readonly bigint[];
  /** Bit i: operand i is the address of a cell. */
  readonly indirect: number;
  readonly check: CheckKind;
  readonly expected: bigint;
  /** errnos; -1 for any. */
  readonly tolerated: readonly number[];
  /** Index of the operation to go on with, `null` for the next. */
  readonly jump: number | null;
  readonly when: number;
  readonly unless: number;
  /** Address of the cell that takes the result, 0 for none. */
  readonly result: bigint;
  readonly label: string | null;
  readonly reason: string | null;
  readonly text: string | null;
}

/** A program as it lies in the segment. */
export interface RawProgram {
  readonly name: string;
  readonly count: number;
  /** Decodes one operation after the other. */
  ops(): Iterable<RawOp>;
}

/** An option of the image's command line, and what it does. */
export interface RawOption {
  readonly name: string;
  readonly set: number;
  readonly clear: number;
  /** Index of the program that it chooses, `null` for none. */
  readonly program: number | null;
}

/** All that the thaw header leads to. */
export interface ThawPrograms {
  readonly programs: readonly RawProgram[];
  readonly options: readonly RawOption[];
  readonly flags: number;
  readonly usageProgram: number;
  readonly memory: ThawMemory;
}

/** Longest string that is read: a path in a sentence. */
const MOST_TEXT = 65536;
const KINDS = new Map(Object.entries(OpCode).map(([kind, code]) => [code as number, kind as OpKind]));
const CHECKS = new Map(Object.entries(CheckCode).map(([kind, code]) => [code as number, kind as CheckKind]));

/** The content of a thaw data segment by address. */
export class ThawMemory {
  readonly #bytes: Buffer;
  readonly #address: bigint;

  constructor(bytes: Uint8Array, address: bigint) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#address = address;
  }

  /** Bytes in all. */
  get size(): number {
    return this.#bytes.length;
  }

  /** `size` bytes at an address, not copied; `what` is for the message. @throws ImageError if they lie outside */
  bytes(address: bigint, size: number, what: string): Buffer {
    const at = this.#offset(address, what);
    if (size > this.#bytes.length - at) throw outside(what, address);
    return this.#bytes.subarray(at, at + size);
  }

  /** A NUL-terminated string, as {@link textOfBytes} makes it. @throws ImageError if it lies outside or is endless */
  string(address: bigint, what: string): string {
    const at = this.#offset(address, what);
    const end = this.#bytes.subarray(at, at + MOST_TEXT).indexOf(0);
    if (end < 0) throw new ImageError(`${what} at 0x${address.toString(16)} has no end`);
    return textOfBytes(this.#bytes.subarray(at, at + end));
  }

  /** As `string`, `null` where there is none. */
  tryString(address: bigint): string | null {
    try {
      return this.string(address, '');
    } catch {
      return null;
    }
  }

  #offset(address: bigint, what: string): number {
    const at = address - this.#address;
    if (at < 0n || at >= BigInt(this.#bytes.length)) throw outside(what, address);
    return Number(at);
  }
}

function outside(what: string, address: bigint): ImageError {
  return new ImageError(`${what} at 0x${address.toString(16)} lies outside the thaw data segment`);
}

/**
 * Reads the tables of a thaw data segment; operations are decoded as they are asked for.
 * @param bytes content of the segment
 * @param address of its first byte
 * @param header address of `struct thaw_header`
 * @throws ImageError for anything that the interpreter could not run
 */
export function readPrograms(bytes: Uint8Array, address: bigint, header: bigint): ThawPrograms {
  const memory = new ThawMemory(bytes, address);
  const view = memory.bytes(header, HEADER_SIZE, 'the thaw header');
  if (view.readBigUInt64LE(0) !== THAW_MAGIC) throw new ImageError('the thaw header lacks its magic number');
  const version = view.readUInt32LE(8);
  if (version !== THAW_VERSION) throw new ImageError(`thaw programs of version ${version} are unknown`);
  if (view.readUInt32LE(12) !== OP_SIZE)
    throw new ImageError(`operations have ${view.readUInt32LE(12)} bytes, not ${OP_SIZE}`);
  const programs = readTable(memory, view.readBigUInt64LE(16), view.readUInt32LE(24));
  const usageProgram = view.readUInt32LE(28);
  checkProgram(usageProgram, programs.length, 'the usage program');
  const options = readOptions(memory, view.readBigUInt64LE(32), view.readUInt32LE(40), programs.length);
  return { programs, options, flags: view.readUInt32LE(44), usageProgram, memory };
}

function checkProgram(index: number, count: number, what: string): void {
  if (index >= count) throw new ImageError(`${what} is number ${index} of ${count} programs`);
}

function readTable(memory: ThawMemory, address: bigint, count: number): RawProgram[] {
  // No two programs share operations: more than fit the segment would only be there to exhaust us.
  let room = Math.floor(memory.size / OP_SIZE);
  const table = memory.bytes(address, count * PROGRAM_SIZE, 'the table of programs');
  return Array.from({ length: count }, (_, i) => {
    const at = i * PROGRAM_SIZE;
    const size = table.readUInt32LE(at + 8);
    room -= size;
    if (room < 0) throw new ImageError(`program ${i} has ${size} operations, more than fit the segment`);
    const ops = memory.bytes(table.readBigUInt64LE(at), size * OP_SIZE, `program ${i}`);
    return {
      name: memory.string(table.readBigUInt64LE(at + 16), `the name of program ${i}`),
      count: size,
      *ops() {
        for (let k = 0; k < size; k++)
          yield readOp(memory, ops.subarray(k * OP_SIZE), size, count, `operation ${k} of program ${i}`);
      },
    };
  });
}

function readOptions(memory: ThawMemory, address: bigint, count: number, programs: number): RawOption[] {
  const table = memory.bytes(address, count * OPTION_SIZE, 'the table of options');
  return Array.from({ length: count }, (_, i) => {
    const at = i * OPTION_SIZE;
    const program = table.readUInt32LE(at + 16);
    const name = memory.string(table.readBigUInt64LE(at), `the name of option ${i}`);
    if (program > 0) checkProgram(program - 1, programs, `the program of ${name}`);
    return {
      name,
      set: table.readUInt32LE(at + 8),
      clear: table.readUInt32LE(at + 12),
      program: program > 0 ? program - 1 : null,
    };
  });
}

function readOp(memory: ThawMemory, view: Buffer, count: number, programs: number, what: string): RawOp {
  const kind = KINDS.get(view.readUInt16LE(0));
  const check = CHECKS.get(view.readUInt8(4));
  if (!kind) throw new ImageError(`${what} has the unknown code ${view.readUInt16LE(0)}`);
  if (!check) throw new ImageError(`${what} has the unknown check ${view.readUInt8(4)}`);
  const number = view.readUInt16LE(2);
  if (kind === 'builtin' && (number === 0 || number > BUILTINS.length))
    throw new ImageError(`${what} calls the unknown built-in ${number}`);
  const jump = view.readUInt32LE(88);
  // One past the last operation is the program's end.
  if (jump > count + 1) throw new ImageError(`${what} jumps to ${jump - 1} of ${count} operations`);
  if (kind === 'jump' && jump === 0) throw new ImageError(`${what} jumps nowhere`);
  const string = (at: number, which: string): string | null => {
    const address = view.readBigUInt64LE(at);
    return address === 0n ? null : memory.string(address, `${which} of ${what}`);
  };
  const args = [0, 1, 2, 3, 4, 5].map((i) => view.readBigUInt64LE(16 + i * 8));
  if (kind === 'spawn') checkProgram(Number(args[0]), programs, `the program of ${what}`);
  const tolerated = [0, 1, 2, 3].map((i) => view.readInt16LE(80 + i * 2));
  const end = tolerated.indexOf(0);
  return {
    kind,
    number,
    args,
    indirect: view.readUInt8(5),
    check,
    expected: view.readBigInt64LE(72),
    tolerated: end < 0 ? tolerated : tolerated.slice(0, end),
    jump: jump === 0 ? null : jump - 1,
    when: view.readUInt32LE(8),
    unless: view.readUInt32LE(12),
    result: view.readBigUInt64LE(64),
    label: string(96, 'the label'),
    reason: string(104, 'the reason'),
    text: string(112, 'the text'),
  };
}
