import { write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { errnoOf } from '../errno.js';
import { endOf, type Piece } from './contents.js';
import type { Native } from './native.js';
import type { Output } from './output.js';
import type { ProcessMemory } from './write.js';

const ZEROS = new Uint8Array(1 << 20);

/** Milliseconds to wait for the reader of a pipe that somebody made non-blocking. */
const PIPE_WAIT = 5;

/** Writes pieces of an image and keeps count. */
export class PieceWriter {
  /** Bytes copied, zeros not counted where they became holes. */
  written = 0;
  /** Bytes that were zero. */
  zero = 0;
  /** Runs that could not be read: source offset, size. */
  readonly unreadable: (readonly [bigint, number])[] = [];
  /** Bytes looked at, kept by the addon while it copies; and what stops it. */
  readonly counter = new BigUint64Array(2);
  readonly #native: Native;
  readonly #output: Output;
  readonly #memory: ProcessMemory | undefined;
  /** Of a stream. */
  #position = 0;

  constructor(native: Native, output: Output, memory?: ProcessMemory) {
    this.#native = native;
    this.#output = output;
    this.#memory = memory;
  }

  /** Writes pieces, for a stream in ascending order. `signal` stops it. */
  async write(pieces: readonly Piece[], signal: AbortSignal | undefined): Promise<void> {
    const stop = (): void => {
      this.counter[1] = 1n;
    };
    signal?.addEventListener('abort', stop);
    try {
      for (const piece of pieces) {
        signal?.throwIfAborted();
        if (piece.kind === 'bytes') await this.#writeBytes(piece.bytes, piece.offset);
        else await this.#copy(piece.fd, piece.runs);
        this.#position = endOf(piece);
      }
    } catch (error) {
      signal?.throwIfAborted(); // the reason, not that the copy was stopped
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async #copy(fd: number, runs: BigUint64Array): Promise<void> {
    const { stream } = this.#output;
    const position = BigInt(this.#position);
    const pid = fd === this.#memory?.fd ? this.#memory.pid : 0;
    const result = await this.#native.copy(fd, this.#output.fd, runs, !stream, position, this.counter, pid);
    this.written += result.written;
    this.zero += result.zero;
    for (const run of result.unreadable) this.unreadable.push(run);
  }

  async #writeBytes(bytes: Uint8Array, offset: number): Promise<void> {
    if (!this.#output.stream) return this.#writeAll(bytes, offset);
    for (let gap = offset - this.#position; gap > 0; gap -= ZEROS.length) {
      await this.#writeAll(ZEROS.subarray(0, Math.min(gap, ZEROS.length)), null);
    }
    return this.#writeAll(bytes, null);
  }

  /** @param offset in the file; null for a stream */
  async #writeAll(bytes: Uint8Array, offset: number | null): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const place = offset === null ? null : offset + done;
      try {
        const left = bytes.length - done;
        const { bytesWritten } = await promisify(write)(this.#output.fd, bytes, done, left, place);
        done += bytesWritten;
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') throw error;
        await sleep(PIPE_WAIT);
      }
    }
  }
}
