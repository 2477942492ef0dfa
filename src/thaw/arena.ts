import { bytesOfText, isBytes } from '../byte-text.js';
import { Interned } from './interned.js';
import type { Cell } from './program.js';

const FIRST_CAPACITY = 4096;
/** Of label, reason and text of an operation the first two often come again. */
const LATEST = 4;

/**
 * The thaw data segment in the making: hands out absolute addresses for bytes, strings and cells.
 * The planner runs twice, first at a provisional base to learn the size.
 */
export class Arena {
  readonly base: bigint;
  /** Zeros behind `#size`. One buffer, not one per string: there can be a hundred thousand. */
  #content: Buffer;
  #size = 0;
  readonly #strings = new Interned();
  /** The latest strings that were placed, and where: labels come again with every operation of a step. */
  readonly #latest: { text: string; address: bigint }[] = [];

  /** @param capacity bytes that there will probably be */
  constructor(base: bigint, capacity: number = FIRST_CAPACITY) {
    this.base = base;
    this.#content = Buffer.alloc(capacity);
  }

  /** Bytes used so far. */
  get size(): number {
    return this.#size;
  }

  /** Reserves `size` zero bytes; returns their address. */
  reserve(size: number, align = 8): bigint {
    return this.base + BigInt(this.#take(size, align));
  }

  /** Places a copy of `bytes`; returns their address. */
  bytes(bytes: Uint8Array, align = 8): bigint {
    const offset = this.#take(bytes.length, align);
    this.#content.set(bytes, offset);
    return this.base + BigInt(offset);
  }

  /** Places a NUL-terminated string, as the bytes that `textOfBytes` had; equal strings share one place. */
  string(text: string): bigint {
    const known = this.#latest.find((one) => one.text === text);
    if (known) return known.address;
    const address = this.#placeString(text);
    if (this.#latest.unshift({ text, address }) > LATEST) this.#latest.pop();
    return address;
  }

  #placeString(text: string): bigint {
    const bytes = isBytes(text) ? bytesOfText(text) : null;
    const size = (bytes?.length ?? Buffer.byteLength(text)) + 1;
    const offset = this.#take(size, 1);
    if (bytes) this.#content.set(bytes, offset);
    else this.#content.write(text, offset);
    const first = this.#strings.add(this.#content, offset, size);
    if (first !== offset) {
      this.#content.fill(0, offset, offset + size);
      this.#size = offset;
    }
    return this.base + BigInt(first);
  }

  /** Places a `u64`. */
  cell(initial = 0n): Cell {
    const offset = this.#take(8, 8);
    this.#content.writeBigUInt64LE(BigInt.asUintN(64, initial), offset);
    return { cell: this.base + BigInt(offset) };
  }

  /** The content of the segment, followed by zeros up to `size` bytes. Not a copy: there may be much of it. */
  toBytes(size = this.#size): Uint8Array {
    if (size > this.#content.length) this.#content = enlarge(this.#content, size);
    return this.#content.subarray(0, size);
  }

  /** Offset of the next `size` bytes, which are zeros. */
  #take(size: number, align: number): number {
    const offset = Math.ceil(this.#size / align) * align;
    this.#size = offset + size;
    if (this.#size > this.#content.length) {
      this.#content = enlarge(this.#content, Math.max(this.#size, 2 * this.#content.length));
    }
    return offset;
  }
}

function enlarge(content: Buffer, size: number): Buffer {
  const larger = Buffer.alloc(size);
  larger.set(content);
  return larger;
}
