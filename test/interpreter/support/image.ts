/** Small executables of nothing but the interpreter and programs made up by a test. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Arena } from '../../../src/thaw/arena.js';
import { assemble } from '../../../src/thaw/assembler.js';
import type { Cell, ImageOption, Program } from '../../../src/thaw/program.js';
import { buildElf, type LoadSegment } from './elf.js';

const TEXT = 0x1000_0000n;
const DATA = 0x1010_0000n;
/** The content of the data segment may be this large; memory without content follows. */
const MOST_CONTENT = 0x100_0000n;
const STACK = 0x1_0000n;
const THREAD_STACK = 0x2000n;
const MOST_THREADS = 1100n;
const PARKING = 0x2_0000n;
const MEMORY = DATA + MOST_CONTENT;
const HEADER_ADDRESS = 0x40;

/** Where things lie in the memory of a test's image. */
export const place = {
  text: TEXT,
  data: DATA,
  stackTop: MEMORY + STACK,
  parking: MEMORY + STACK,
  parkingSize: PARKING,
  /** A page for the trampoline, the last of the segment. */
  page: MEMORY + STACK + PARKING + MOST_THREADS * THREAD_STACK,
  threadStack: (i: number): bigint => MEMORY + STACK + PARKING + BigInt(i + 1) * THREAD_STACK,
} as const;
const MEMORY_SIZE = Number(place.page + 4096n - DATA);

export interface Content {
  readonly programs: readonly Program[];
  readonly options?: readonly ImageOption[];
  readonly flags?: number;
  readonly usageProgram?: number;
  readonly messages?: Cell;
  /** Further segments above `place.page`, ascending. */
  readonly segments?: readonly LoadSegment[];
}

const scratch = mkdtempSync(join(tmpdir(), 'proc2elf-interpreter-'));
process.on('exit', () => {
  rmSync(scratch, { recursive: true, force: true });
});
execFileSync('make', ['-s', '-C', 'native/interpreter', `OUT=${scratch}`]);

/** The blob, built from its sources as they are now. */
export const blob: Uint8Array = readFileSync(join(scratch, 'interpreter.bin'));

let count = 0;

/** Path of a new file for this test file alone. */
export function scratchPath(name: string): string {
  return join(scratch, `${++count}-${name}`);
}

/** Makes an executable named `image` of what `make` puts into the arena; returns its path. */
export function buildImage(make: (arena: Arena) => Content): string {
  const arena = new Arena(DATA);
  const { programs, options = [], flags = 0, usageProgram = 0, messages, segments = [] } = make(arena);
  const header = assemble(arena, programs, options, {
    flags,
    usageProgram,
    stackTop: place.stackTop,
    ...(messages && { messages }),
  });
  const text = Buffer.from(blob);
  text.writeBigUInt64LE(header, HEADER_ADDRESS);
  const path = scratchPath('image');
  writeFileSync(
    path,
    buildElf(TEXT, [
      { address: TEXT, bytes: text, flags: 5 },
      { address: DATA, bytes: arena.toBytes(), memorySize: MEMORY_SIZE, flags: 6 },
      ...segments,
    ]),
    { mode: 0o700 },
  );
  return path;
}
