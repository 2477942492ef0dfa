import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errnoOf } from '../../errno.js';

/** Characters written at a time: lines one by one would be a system call each. */
const BLOCK = 1 << 16;

/** Writes text piece by piece, as fast as the reader takes it. A reader that has had enough is no error. */
export async function print(pieces: Iterable<string>, stream: Writable): Promise<void> {
  try {
    await pipeline(Readable.from(blocks(pieces)), stream, { end: false });
  } catch (error) {
    if (errnoOf(error) !== 'EPIPE') throw error;
  }
}

function* blocks(pieces: Iterable<string>): Generator<string> {
  let block: string[] = [];
  let size = 0;
  for (const piece of pieces) {
    block.push(piece);
    size += piece.length;
    if (size < BLOCK) continue;
    yield block.join('');
    block = [];
    size = 0;
  }
  if (size > 0) yield block.join('');
}
