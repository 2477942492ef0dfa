import { ftruncate, write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { TargetError } from '../errors.js';
import type { Snapshot } from '../snapshot/schema.js';
import { assembleImage } from './assemble.js';
import { cutContents, endOf, type Piece } from './contents.js';
import type { ImageLayout } from './layout.js';
import { loadNative, type Native } from './native.js';
import { type Output, prepareOutput } from './output.js';
import { errnoOf, outputError } from './output-error.js';

export interface WriteOptions {
  /** Called a few times a second with bytes looked at and bytes in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the writing between two pieces; the reason is thrown. */
  readonly signal?: AbortSignal;
  /** The addon, if it is not the usual one. */
  readonly native?: Native;
}

/** What was written. */
export interface WriteReport {
  /** Size of the image, holes included, in bytes. */
  readonly bytes: number;
  /** Bytes of content copied, zeros not counted where they became holes. */
  readonly written: number;
  /** Bytes of content that were zero. */
  readonly zero: number;
  /** Runs that could not be read and became zeros: source offset, size in bytes. */
  readonly unreadable: readonly (readonly [bigint, number])[];
}

const PROGRESS_INTERVAL = 100;
const ZEROS = new Uint8Array(1 << 20);

/**
 * Writes an image: headers, contents, notes. Only while this runs the process that is copied from
 * has to hold still. The image gets its name by `output.commit()`; on an error call `output.discard()`.
 * @throws PermissionError, TargetError (the process is gone), ImageError, or the reason of `signal`
 */
export async function writeContents(
  output: Output,
  layout: ImageLayout,
  snapshot: Snapshot,
  options: WriteOptions = {},
): Promise<WriteReport> {
  const native = options.native ?? (await loadNative());
  const image = assembleImage(layout, snapshot);
  const pieces = cutContents(image.chunks, layout.copies, output.stream);
  const counter = new BigUint64Array(1);
  const total = pieces.reduce((sum, piece) => sum + (piece.kind === 'copy' ? piece.size : 0), 0);
  const report = () => options.onProgress?.(Number(counter[0]), total);
  const timer = setInterval(report, PROGRESS_INTERVAL);
  try {
    // Also tells at once if the file would be too large.
    if (!output.stream) await promisify(ftruncate)(output.fd, image.size);
    const result = await writePieces(native, output, pieces, counter, options.signal);
    report();
    return { bytes: image.size, ...result };
  } catch (error) {
    throw describeError(output, error, image.size);
  } finally {
    clearInterval(timer);
  }
}

/**
 * Prepares, writes and commits in one go, for images whose contents need nobody to hold still.
 * @returns what was written, and the bytes that it takes on disk
 */
export async function writeImage(
  path: string,
  layout: ImageLayout,
  snapshot: Snapshot,
  options: WriteOptions = {},
): Promise<WriteReport & { readonly diskBytes: number }> {
  const output = await prepareOutput(path, options);
  try {
    const report = await writeContents(output, layout, snapshot, options);
    return { ...report, diskBytes: await output.commit() };
  } finally {
    await output.discard();
  }
}

async function writePieces(
  native: Native,
  output: Output,
  pieces: readonly Piece[],
  counter: BigUint64Array,
  signal: AbortSignal | undefined,
): Promise<Omit<WriteReport, 'bytes'>> {
  let position = 0;
  let written = 0;
  let zero = 0;
  const unreadable: (readonly [bigint, number])[] = [];
  for (const piece of pieces) {
    signal?.throwIfAborted();
    if (piece.kind === 'bytes') {
      if (output.stream) await writeZeros(output, piece.offset - position);
      await writeAll(output, piece.bytes, piece.offset);
    } else {
      const from = BigInt(position);
      const result = await native.copy(piece.fd, output.fd, piece.runs, !output.stream, from, counter);
      written += result.written;
      zero += result.zero;
      unreadable.push(...result.unreadable);
    }
    position = endOf(piece);
  }
  return { written, zero, unreadable };
}

async function writeZeros(output: Output, size: number): Promise<void> {
  for (let left = size; left > 0; left -= ZEROS.length) {
    await writeAll(output, left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS, null);
  }
}

async function writeAll(output: Output, bytes: Uint8Array, offset: number | null): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const place = output.stream || offset === null ? null : offset + done;
    try {
      const { bytesWritten } = await promisify(write)(output.fd, bytes, done, bytes.length - done, place);
      done += bytesWritten;
    } catch (error) {
      // A pipe that somebody made non-blocking, and whose reader is slow.
      if (errnoOf(error) !== 'EAGAIN') throw error;
      await sleep(5);
    }
  }
}

/** The addon's errors say whether reading from the process failed, or writing to the image. */
function describeError(output: Output, error: unknown, size: number): unknown {
  const code = errnoOf(error);
  const reading = error instanceof Error && 'syscall' in error && error.syscall === 'read';
  if (!code || !reading) return outputError(output.stream ? 'to stdout' : output.path, error, size);
  if (code === 'ESRCH') return new TargetError('the process ended while its memory was copied');
  return new TargetError(`cannot read the memory of the process: ${code}`, { cause: error });
}
