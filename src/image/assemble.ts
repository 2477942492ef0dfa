import { createHash } from 'node:crypto';
import { EM, ET } from '../elf/constants.js';
import { noteParts } from '../elf/notes.js';
import {
  EHDR_SIZE,
  encodeHeader,
  encodeProgramHeaders,
  encodeSectionHeaders,
  SHDR_SIZE,
  StringTable,
} from '../elf/write.js';
import { encodeSnapshot } from '../snapshot/encoding.js';
import type { Snapshot } from '../snapshot/schema.js';
import { programHeaders, sectionHeaders } from './headers.js';
import { checkLayout, type ImageChunk, type ImageLayout, pageUp } from './layout.js';
import { coreNotes } from './notes.js';
import {
  DIGEST_OFFSET,
  DIGEST_SIZE,
  encodeVendorNoteHead,
  type Range,
  VENDOR_NAME,
  VENDOR_TYPE,
} from './vendor-note.js';

/** All bytes of an image but those that are copied, and its size. */
export interface AssembledImage {
  /** Headers, the layout's chunks, notes and section headers, ascending. */
  readonly chunks: readonly ImageChunk[];
  /** Of the file, in bytes. */
  readonly size: number;
}

/**
 * Makes headers, notes and section headers for a layout. The parts of the file:
 * file header, program headers | contents | notes | section names | section headers.
 * @param between called when there is much garbage
 * @throws RangeError if the layout makes no sense
 * @throws ImageError if the snapshot does not
 */
export function assembleImage(
  layout: ImageLayout,
  snapshot: Snapshot,
  between: () => void = () => {},
): AssembledImage {
  checkLayout(layout);
  const tail = pageUp(layout.end);
  const sorted = [...layout.chunks].sort((a, b) => a.offset - b.offset);
  const core = coreNotes(snapshot).flatMap(({ name, type, desc }) => noteParts(name, type, [desc]));
  const coreSize = sizeOf(core);
  const encoded = encodeSnapshot(snapshot);
  between();
  const vendor = (ranges: readonly Range[]) =>
    noteParts(VENDOR_NAME, VENDOR_TYPE, [encodeVendorNoteHead(ranges), encoded]);

  // The note lists parts of the file that lie behind it, so its size must be known first.
  const rangeCount = sorted.length + 3;
  const places = Array.from({ length: rangeCount }, () => ({ offset: 0, size: 0 }));
  const notes: Range = { offset: tail, size: coreSize + sizeOf(vendor(places)) };

  const strings = new StringTable();
  const shdrs = sectionHeaders(layout, notes, coreSize, strings);
  const names = strings.toBytes();
  const namesAt = notes.offset + notes.size;
  const shdrsAt = Math.ceil((namesAt + names.length) / 8) * 8;
  const last = shdrs.at(-1);
  if (last) Object.assign(last, { sh_offset: BigInt(namesAt), sh_size: BigInt(names.length) });
  const size = shdrsAt + (shdrs.length + 1) * SHDR_SIZE;
  const chunks = sorted.map((chunk) => withSize(chunk, layout.sizeAt, size));
  if (chunks.every((chunk, i) => chunk === sorted[i])) throw new RangeError('no chunk has room for the size');

  const phdrs = programHeaders(layout.segments, notes);
  const header = Buffer.concat([
    encodeHeader(
      {
        type: ET.EXEC,
        machine: EM.X86_64,
        entry: layout.entry,
        phoff: EHDR_SIZE,
        shoff: shdrsAt,
        shstrndx: shdrs.length,
      },
      phdrs.length,
      shdrs.length + 1,
    ),
    encodeProgramHeaders(phdrs),
  ]);

  const end = Buffer.alloc(size - tail);
  const digestAt = coreSize + NOTE_HEAD + DIGEST_OFFSET;
  const ranges: Range[] = [
    { offset: 0, size: header.length },
    ...chunks.map(({ offset, bytes }) => ({ offset, size: bytes.length })),
    { offset: tail, size: digestAt },
    { offset: tail + digestAt + DIGEST_SIZE, size: end.length - digestAt - DIGEST_SIZE },
  ];
  let at = 0;
  for (const part of [...core, ...vendor(ranges)]) {
    end.set(part, at);
    at += part.length;
  }
  end.set(names, namesAt - tail);
  end.set(encodeSectionHeaders(shdrs, shdrs.length), shdrsAt - tail);

  const hash = createHash('sha256').update(header);
  for (const { bytes } of chunks) hash.update(bytes);
  hash.update(end.subarray(0, digestAt)).update(end.subarray(digestAt + DIGEST_SIZE));
  end.set(hash.digest(), digestAt);
  return { chunks: [{ offset: 0, bytes: header }, ...chunks, { offset: tail, bytes: end }], size };
}

function sizeOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** A chunk with the size of the image in its place, if that is in it. */
function withSize(chunk: ImageChunk, sizeAt: number, size: number): ImageChunk {
  const place = sizeAt - chunk.offset;
  if (place < 0 || place >= chunk.bytes.length) return chunk;
  const bytes = Buffer.from(chunk.bytes);
  bytes.writeBigUInt64LE(BigInt(size), place);
  return { ...chunk, bytes };
}

/** Bytes of a vendor note before its descriptor: header, padded name. */
const NOTE_HEAD = 12 + Math.ceil((VENDOR_NAME.length + 1) / 4) * 4;
