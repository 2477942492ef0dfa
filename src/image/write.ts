import { fdatasync, ftruncate } from 'node:fs';
import { promisify } from 'node:util';
import { errnoOf } from '../errno.js';
import { TargetError } from '../errors.js';
import type { Snapshot } from '../snapshot/schema.js';
import type { AssembledImage } from './assemble.js';
import { cutContents } from './contents.js';
import { checkLayout, type ImageCopy, type ImageLayout } from './layout.js';
import { loadNative, type Native } from './native.js';
import { type Output, prepareOutput } from './output.js';
import { outputError } from './output-error.js';
import { PieceWriter } from './piece-writer.js';

/** How an image is written: who is told, and what stops it. */
export interface WriteOptions {
  /** Called when all is copied, and whoever is copied from need no longer hold still. */
  readonly onCopied?: () => void;
  /** Called a few times a second with bytes looked at and bytes in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the writing; the reason is thrown. */
  readonly signal?: AbortSignal;
  /** The process, held still until `onCopied`, whose memory is copied, and its `/proc/PID/mem`. */
  readonly memory?: ProcessMemory;
  /** The addon, if it is not the usual one. */
  readonly native?: Native;
}

/** The memory of a process, as a file. */
export interface ProcessMemory {
  readonly pid: number;
  readonly fd: number;
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

/** What is to be copied, and where in the image it ends. */
export type Contents = Pick<ImageLayout, 'end'> & { readonly copies: readonly ImageCopy[] };

/** Makes all else that an image consists of. */
export type Assemble = () => Promise<AssembledImage>;

const PROGRESS_INTERVAL = 100;

/**
 * Writes an image: headers, contents, notes. Only until `onCopied` is called the process that is
 * copied from has to hold still. The image gets its name by `output.commit()`; on an error call
 * `output.discard()`.
 * @throws PermissionError, TargetError (the process is gone), ImageError, or the reason of `signal`
 */
export async function writeContents(
  output: Output,
  layout: ImageLayout,
  snapshot: Snapshot,
  options: WriteOptions = {},
): Promise<WriteReport> {
  checkLayout(layout);
  // Whoever freezes loads it while memory is copied.
  const assemble = async () => (await import('./assemble.js')).assembleImage(layout, snapshot);
  return writeCopiesFirst(output, layout, assemble, options);
}

/**
 * The same, when the rest takes a while to make: into a file, `contents` are copied before `assemble`
 * is called. A stream starts with the headers, so there it is the first that is called.
 * @throws as {@link writeContents}, and what `assemble` throws
 */
export async function writeCopiesFirst(
  output: Output,
  contents: Contents,
  assemble: Assemble,
  options: WriteOptions = {},
): Promise<WriteReport> {
  const writer = new PieceWriter(options.native ?? (await loadNative()), output, options.memory);
  const total = contents.copies.reduce((sum, { size }) => sum + size, 0);
  const report = () => options.onProgress?.(Number(writer.counter[0]), total);
  const timer = setInterval(report, PROGRESS_INTERVAL);
  try {
    const write = output.stream ? writeStream : writeFile;
    const bytes = await write(writer, output, contents, assemble, options);
    report();
    return { bytes, written: writer.written, zero: writer.zero, unreadable: writer.unreadable };
  } catch (error) {
    throw describeError(output, error, contents.end);
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

/** Front to back. Returns the size of the image. */
async function writeStream(
  writer: PieceWriter,
  _output: Output,
  contents: Contents,
  assemble: Assemble,
  options: WriteOptions,
): Promise<number> {
  const image = await assemble();
  await writer.write(cutContents(image.chunks, contents.copies, true), options.signal);
  options.onCopied?.();
  return image.size;
}

/** What is copied first; the rest, which takes a while to make, when the process runs again. */
async function writeFile(
  writer: PieceWriter,
  output: Output,
  contents: Contents,
  assemble: Assemble,
  options: WriteOptions,
): Promise<number> {
  // Tells at once if the file would be too large. It does not keep that length: should the machine crash
  // before all is on disk, the image is found short, and says so, rather than full of holes. Of a file
  // that is empty a shell would say nothing.
  await promisify(ftruncate)(output.fd, contents.end);
  await promisify(ftruncate)(output.fd, 1);
  await writer.write(cutContents([], contents.copies, false), options.signal);
  options.onCopied?.();
  // Where the disk is waited for, it works while the rest is made: less is left to wait for. Not before, as
  // it would slow down the copying, for which a process holds still.
  const synced = output.durable ? promisify(fdatasync)(output.fd) : undefined;
  const [image] = await Promise.all([assemble(), synced]);
  // The copies are cut once more to see that no chunk overlaps one of them.
  const rest = cutContents(image.chunks, contents.copies, false).filter(({ kind }) => kind === 'bytes');
  await writer.write(rest, options.signal);
  return image.size;
}

/** The addon's errors say whether reading from the process failed, or writing to the image. */
function describeError(output: Output, error: unknown, size: number): unknown {
  const code = errnoOf(error);
  const reading = error instanceof Error && 'syscall' in error && error.syscall === 'read';
  if (!code || !reading) return outputError(output.stream ? 'to stdout' : output.path, error, size);
  if (code === 'ESRCH') return new TargetError('the process ended while its memory was copied');
  return new TargetError(`cannot read the memory of the process: ${code}`, { cause: error });
}
