import type { Cell } from './program.js';

/**
 * The thaw data segment in the making: hands out absolute addresses for bytes, strings and cells.
 * The planner runs twice, first at a provisional base to learn the size.
 */
export class Arena {
  readonly base: bigint;
  #chunks: { offset: number; bytes: Uint8Array }[] = [];
  #size = 0;
  #strings = new Map<string, bigint>();

  constructor(base: bigint) {
    this.base = base;
  }

  /** Bytes used so far. */
  get size(): number {
    return this.#size;
  }

  /** Reserves `size` zero bytes; returns their address. */
  reserve(size: number, align = 8): bigint {
    const offset = Math.ceil(this.#size / align) * align;
    this.#size = offset + size;
    return this.base + BigInt(offset);
  }

  /** Places a copy of `bytes`; returns their address. */
  bytes(bytes: Uint8Array, align = 8): bigint {
    const address = this.reserve(bytes.length, align);
    this.#chunks.push({ offset: Number(address - this.base), bytes });
    return address;
  }

  /** Places a NUL-terminated UTF-8 string; equal strings share one place. */
  string(text: string): bigint {
    let address = this.#strings.get(text);
    if (address === undefined) {
      address = this.bytes(Buffer.from(`${text}\0`), 1);
      this.#strings.set(text, address);
    }
    return address;
  }

  /** Places a `u64`. */
  cell(initial = 0n): Cell {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, initial));
    return { cell: this.bytes(bytes) };
  }

  /** The content of the segment, `size` bytes. */
  toBytes(): Uint8Array {
    const out = new Uint8Array(this.#size);
    for (const { offset, bytes } of this.#chunks) out.set(bytes, offset);
    return out;
  }
}
