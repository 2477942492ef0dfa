import { ElfError } from './error.js';
import { NHDR, type Nhdr } from './headers.js';
import { decode, ELF64_LSB, type Encoding, encode, sizeOf } from './structure.js';

/** A note: who defined its type, the type, the descriptor. */
export interface Note {
  readonly name: string;
  readonly type: number;
  readonly desc: Uint8Array;
}

/** A note that was read, with the place of its descriptor in the file. */
export interface PlacedNote extends Note {
  readonly offset: number;
}

const NHDR_SIZE = sizeOf(NHDR, ELF64_LSB);

/** A longer name is taken for damage, in bytes: it stands for whoever defined the type. */
const MAX_NAME = 4096;

/** Notes one after the other, name and descriptor each padded to four bytes, as core files have them. */
export function encodeNotes(notes: readonly Note[]): Uint8Array {
  return Buffer.concat(notes.flatMap(({ name, type, desc }) => noteParts(name, type, [desc])));
}

/** The bytes of one note, in parts, of which those of the descriptor are not copied. */
export function noteParts(name: string, type: number, desc: readonly Uint8Array[]): Uint8Array[] {
  const nameBytes = Buffer.from(`${name}\0`);
  const size = desc.reduce((sum, { length }) => sum + length, 0);
  return [
    encode(NHDR, { n_namesz: nameBytes.length, n_descsz: size, n_type: type }),
    nameBytes,
    padding(nameBytes.length, 4),
    ...desc,
    padding(size, 4),
  ];
}

/**
 * Reads the notes of a segment or section.
 * @param offset place of `bytes` in the file
 * @param align `p_align` or `sh_addralign`: padding is to four bytes but where it says eight
 * @param limit a note takes twelve bytes at least: how many of them are borne
 * @throws ElfError on a note that does not fit, or is one too many
 */
export function decodeNotes(
  bytes: Uint8Array,
  encoding: Encoding,
  offset = 0,
  align = 4,
  limit = Number.POSITIVE_INFINITY,
): PlacedNote[] {
  const unit = align === 8 ? 8 : 4;
  const notes: PlacedNote[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < NHDR_SIZE) throw new ElfError('a note header is cut off', offset + at);
    const { n_namesz, n_descsz, n_type }: Nhdr = decode(NHDR, encoding, bytes.subarray(at, at + NHDR_SIZE));
    const nameAt = at + NHDR_SIZE;
    const descAt = roundUp(nameAt + n_namesz, unit);
    const end = descAt + n_descsz;
    if (nameAt + n_namesz > bytes.length)
      throw new ElfError('a note is too long: name of', offset + at, n_namesz);
    if (end > bytes.length) throw new ElfError('a note is too long: descriptor of', offset + at, n_descsz);
    if (n_namesz > MAX_NAME) throw new ElfError('the name of a note is too long:', offset + at, n_namesz);
    if (notes.length >= limit) throw new ElfError('there are too many notes, up to', offset + at);
    const name = Buffer.from(bytes.subarray(nameAt, nameAt + n_namesz))
      .toString('latin1')
      .replace(/\0$/, '');
    notes.push({ name, type: n_type, desc: bytes.subarray(descAt, end), offset: offset + descAt });
    at = roundUp(end, unit);
  }
  return notes;
}

function padding(size: number, unit: number): Uint8Array {
  return new Uint8Array(roundUp(size, unit) - size);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
