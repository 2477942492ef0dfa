import { fstatSync, readSync } from 'node:fs';
import { ElfError } from './error.js';

/** Bytes that are read from here and there: a file that may be many gigabytes long, or memory. */
export interface Source {
  /** In bytes. */
  readonly size: number;
  /**
   * Exactly `size` bytes from `offset`.
   * @throws ElfError if that is not all within the source.
   */
  read(offset: number, size: number): Uint8Array;
}

/** A source over bytes in memory; what `read` returns shares them. */
export function bytesSource(bytes: Uint8Array): Source {
  return {
    size: bytes.length,
    read(offset, size) {
      requireRange(offset, size, bytes.length);
      return bytes.subarray(offset, offset + size);
    },
  };
}

/** A source over an open regular file; the descriptor stays the caller's. */
export function fileSource(fd: number): Source {
  const fileSize = fstatSync(fd).size;
  return {
    size: fileSize,
    read(offset, size) {
      requireRange(offset, size, fileSize);
      const bytes = allocate(offset, size);
      let done = 0;
      while (done < size) {
        const count = readSync(fd, bytes, done, size - done, offset + done);
        if (count === 0) throw new ElfError('the file ends early', offset + done);
        done += count;
      }
      return bytes;
    },
  };
}

/** The file says how much to read, and a sparse one has any size: more than memory holds is the file's fault. */
function allocate(offset: number, size: number): Uint8Array {
  try {
    return new Uint8Array(size);
  } catch (error) {
    if (error instanceof RangeError) throw new ElfError('too much to read at once:', offset, size);
    throw error;
  }
}

function requireRange(offset: number, size: number, end: number): void {
  const sane = Number.isSafeInteger(offset) && Number.isSafeInteger(size) && offset >= 0 && size >= 0;
  if (!sane || offset + size > end) {
    throw new ElfError(`the file ends at ${end}, before the end of ${size} bytes`, offset);
  }
}
