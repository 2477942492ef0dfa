/**
 * The trampoline page: all that is left of us in a thawed process. It holds the code that unmaps
 * everything else, the leader's signal frame, and stubs for sleeps. A later freeze knows it by its
 * magic and leaves it out, so that such pages do not pile up.
 */
import { PAGE_SIZE } from '../page.js';
import { FPSTATE_OFFSET } from './frame.js';
import { STUB_SIZE } from './sleep.js';

/** First 16 bytes of the page. */
export const TRAMPOLINE_MAGIC = 'proc2elf\0tramp\0\x01';
const HEADER_SIZE = 64;
/** Room for the interpreter's last code, and the ranges that it unmaps. */
const CODE_SIZE = 256;

/** Where things lie in the trampoline page; offsets in bytes. */
export interface TrampolineLayout {
  readonly codeOffset: number;
  readonly frameOffset: number;
  readonly stubOffset: number;
  readonly stubCount: number;
  /** A multiple of 4096; one page unless many threads sleep or AMX is in use. */
  readonly size: number;
}

/** Lays out a page for a frame with `xstateCapacity` bytes of XSAVE area and that many stubs. */
export function layoutTrampoline(xstateCapacity: number, stubCount: number): TrampolineLayout {
  const codeOffset = HEADER_SIZE;
  const frameOffset = HEADER_SIZE + CODE_SIZE;
  const stubOffset = Math.ceil((frameOffset + FPSTATE_OFFSET + xstateCapacity) / 64) * 64;
  const end = stubOffset + stubCount * STUB_SIZE;
  return { codeOffset, frameOffset, stubOffset, stubCount, size: Math.ceil(end / PAGE_SIZE) * PAGE_SIZE };
}

/** The page's bytes up to the stubs' end, without code and frame. */
export function trampolineTemplate(layout: TrampolineLayout, stubs: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.alloc(layout.stubOffset + layout.stubCount * STUB_SIZE);
  bytes.write(TRAMPOLINE_MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(layout.stubOffset, 16);
  bytes.writeUInt32LE(layout.stubCount, 20);
  stubs.forEach((stub, i) => {
    bytes.set(stub, layout.stubOffset + i * STUB_SIZE);
  });
  return bytes;
}

/** Reads a page that may be a trampoline; `null` if it is not one. */
export function readTrampoline(bytes: Uint8Array): { stubOffset: number; stubCount: number } | null {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < 64 || view.toString('latin1', 0, 16) !== TRAMPOLINE_MAGIC) return null;
  const stubOffset = view.readUInt32LE(16);
  const stubCount = view.readUInt32LE(20);
  if (stubOffset + stubCount * STUB_SIZE > view.length) return null;
  return { stubOffset, stubCount };
}
