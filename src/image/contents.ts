import type { ImageChunk, ImageCopy } from './layout.js';

/** A piece of work for the writer: bytes in hand, or runs to copy from one descriptor. */
export type Piece =
  | { readonly kind: 'bytes'; readonly offset: number; readonly bytes: Uint8Array }
  | {
      readonly kind: 'copy';
      readonly fd: number;
      /** Source offset, size, offset in the image, of each run. */
      readonly runs: BigUint64Array;
      readonly size: number;
      readonly offset: number;
      readonly end: number;
    };

/** Most bytes copied at a time: between two pieces the copy waits for this program, which may be busy. */
const PIECE_SIZE = 256 << 20;

/** Most runs copied at a time. */
const PIECE_RUNS = 16384;

/**
 * Cuts the contents of an image into pieces of work, in ascending order of their place in the file
 * for a stream. For a file all from one descriptor comes together, which makes for fewer pieces.
 * @throws RangeError if two of them overlap
 */
export function cutContents(
  chunks: readonly ImageChunk[],
  copies: readonly ImageCopy[],
  stream: boolean,
): Piece[] {
  const all: Piece[] = [
    ...chunks.map(({ offset, bytes }): Piece => ({ kind: 'bytes', offset, bytes })),
    ...copies.filter(({ size }) => size > 0).flatMap(cutCopy),
  ].sort((a, b) => a.offset - b.offset);
  let end = 0;
  for (const piece of all) {
    if (piece.offset < end) throw new RangeError(`contents overlap at ${piece.offset}`);
    end = endOf(piece);
  }
  if (!stream) all.sort((a, b) => descriptorOf(a) - descriptorOf(b) || a.offset - b.offset);
  return joinCopies(all);
}

/** Where a piece ends in the image. */
export function endOf(piece: Piece): number {
  return piece.kind === 'copy' ? piece.end : piece.offset + piece.bytes.length;
}

function descriptorOf(piece: Piece): number {
  return piece.kind === 'copy' ? piece.fd : -1;
}

function cutCopy(copy: ImageCopy): Piece[] {
  const pieces: Piece[] = [];
  for (let done = 0; done < copy.size; done += PIECE_SIZE) {
    const size = Math.min(PIECE_SIZE, copy.size - done);
    const offset = copy.offset + done;
    const runs = BigUint64Array.of(copy.source + BigInt(done), BigInt(size), BigInt(offset));
    pieces.push({ kind: 'copy', fd: copy.fd, runs, size, offset, end: offset + size });
  }
  return pieces;
}

function joinCopies(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  let group: Extract<Piece, { kind: 'copy' }>[] = [];
  let size = 0;
  for (const piece of pieces) {
    const fits = piece.kind === 'copy' && piece.fd === group[0]?.fd;
    if (!fits || size + piece.size > PIECE_SIZE || group.length === PIECE_RUNS) flush();
    if (piece.kind === 'copy') {
      group.push(piece);
      size += piece.size;
    } else {
      joined.push(piece);
    }
  }
  flush();
  return joined;

  function flush(): void {
    const [first] = group;
    const last = group.at(-1);
    if (first && last) {
      const runs = new BigUint64Array(group.length * 3);
      group.forEach((piece, i) => {
        runs.set(piece.runs, i * 3);
      });
      joined.push({ kind: 'copy', fd: first.fd, runs, size, offset: first.offset, end: last.end });
    }
    group = [];
    size = 0;
  }
}
