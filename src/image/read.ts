import type { FileHandle } from 'node:fs/promises';
import { EM, ET, PT, SHF, SHT } from '../elf/constants.js';
import { ElfError } from '../elf/error.js';
import type { Phdr } from '../elf/headers.js';
import { decodeNotes, type PlacedNote } from '../elf/notes.js';
import { type ElfFile, readElf, type Section, toNumber } from '../elf/read.js';
import { fileSource, type Source } from '../elf/source.js';
import { ImageError } from '../errors.js';
import { PAGE_SIZE } from '../page.js';
import { decodeSnapshot } from '../snapshot/encoding.js';
import type { Snapshot } from '../snapshot/schema.js';
import { verifyDigest } from './integrity.js';
import { type ImageSection, type ImageSegment, THAW_DATA, THAW_TEXT } from './layout.js';
import { checkExtentOffsets } from './memory.js';
import { openRegular } from './open.js';
import { decodeVendorNote, VENDOR_NAME, VENDOR_TYPE } from './vendor-note.js';

/** The bytes of a thaw segment and where the kernel maps them. */
export interface ThawSegment {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** An image that was read: all of it but the contents of memory, for which see `readMemory`. */
export interface Image {
  readonly path: string;
  /** Size of the file, holes included, in bytes. */
  readonly size: number;
  readonly entry: bigint;
  readonly snapshot: Snapshot;
  readonly segments: readonly ImageSegment[];
  readonly sections: readonly ImageSection[];
  readonly notes: readonly PlacedNote[];
  readonly thaw: {
    readonly text: ThawSegment;
    readonly data: ThawSegment;
    /** Address of `struct thaw_header`, in `data`. */
    readonly headerAddress: bigint;
  };
}

/** Where the interpreter keeps the address of its header: `BLOB_HEADER_ADDRESS` of program.h. */
const HEADER_ADDRESS_OFFSET = 0x40;

/** Notes in all, or a thaw segment, larger than this are taken for damage, in bytes. */
const MAX_SIZE = 2 ** 30;

/** More notes than this are taken for damage: there are three for each thread. */
const MAX_NOTES = 1 << 20;

/**
 * Reads an image. Nothing in the file is trusted: whatever is not as this program writes it is refused.
 * @throws ImageError of one line saying what is wrong
 */
export async function readImage(path: string): Promise<Image> {
  const file = await openRegular(path);
  try {
    return readOpened(path, file);
  } catch (error) {
    if (error instanceof ElfError) {
      throw new ImageError(`${path} is not an image of proc2elf, or is damaged: ${error.message}`);
    }
    if (error instanceof ImageError) throw new ImageError(`${path}: ${error.message}`);
    throw error;
  } finally {
    await file.close();
  }
}

function readOpened(path: string, file: FileHandle): Image {
  const source = fileSource(file.fd);
  const elf = readElf(source);
  const notes = readNotes(source, elf);
  const note = notes.find(({ name, type }) => name === VENDOR_NAME && type === VENDOR_TYPE);
  if (!note || elf.header.e_type !== ET.EXEC || elf.header.e_machine !== EM.X86_64) {
    throw new ImageError('an ELF file, but not an image made by proc2elf');
  }
  const vendor = decodeVendorNote(note.desc);
  verifyDigest(source, vendor);
  const snapshot = decodeSnapshot(vendor.snapshot);
  checkExtentOffsets(snapshot, source.size);
  const segments = elf.segments.filter(({ p_type }) => p_type === PT.LOAD).map((p) => toSegment(p, source));
  const sections = elf.sections
    .filter(({ sh_type }) => sh_type === SHT.PROGBITS || sh_type === SHT.NOBITS)
    .map((section) => toSection(section, source));
  const { e_entry: entry } = elf.header;
  return {
    path,
    size: source.size,
    entry,
    snapshot,
    segments,
    sections,
    notes,
    thaw: readThaw(source, sections),
  };
}

function readNotes(source: Source, elf: ElfFile): PlacedNote[] {
  const segments = elf.segments.filter(({ p_type }) => p_type === PT.NOTE);
  // They may overlap: without bounds on the sums a small file could have notes without end.
  const total = segments.reduce((sum, { p_filesz }) => sum + p_filesz, 0n);
  bounded(total, 'notes are too long:', Number(segments[0]?.p_offset ?? 0));
  let left = MAX_NOTES;
  return segments.flatMap(({ p_offset, p_filesz, p_align }) => {
    const offset = toNumber(p_offset, 'notes lie at', 0);
    const bytes = source.read(offset, Number(p_filesz));
    const notes = decodeNotes(bytes, elf.encoding, offset, Number(p_align), left);
    left -= notes.length;
    return notes;
  });
}

function toSegment(phdr: Phdr, source: Source): ImageSegment {
  const offset = toNumber(phdr.p_offset, 'a segment lies at', 0);
  const filesz = toNumber(phdr.p_filesz, 'a segment is too long:', offset);
  const memsz = toNumber(phdr.p_memsz, 'a segment is too long:', offset);
  if (offset % PAGE_SIZE !== 0) throw new ElfError('a segment is not page-aligned:', offset, phdr.p_vaddr);
  if (filesz > memsz) throw new ElfError('a segment is larger in the file than in memory:', offset, filesz);
  if (offset + filesz > source.size) throw new ElfError('a segment ends behind the file:', offset, filesz);
  return { vaddr: phdr.p_vaddr, paddr: phdr.p_paddr, offset, filesz, memsz, flags: phdr.p_flags };
}

function toSection(shdr: Section, source: Source): ImageSection {
  const offset = toNumber(shdr.sh_offset, 'a section lies at', 0);
  const size = toNumber(shdr.sh_size, 'a section is too long:', offset);
  const nobits = shdr.sh_type === SHT.NOBITS;
  if (!nobits && offset + size > source.size)
    throw new ElfError('a section ends behind the file:', offset, size);
  return {
    name: shdr.name,
    address: shdr.sh_addr,
    offset,
    size,
    writable: (shdr.sh_flags & BigInt(SHF.WRITE)) !== 0n,
    executable: (shdr.sh_flags & BigInt(SHF.EXECINSTR)) !== 0n,
    nobits,
  };
}

function readThaw(source: Source, sections: readonly ImageSection[]): Image['thaw'] {
  const text = readSection(source, sections, THAW_TEXT);
  const data = readSection(source, sections, THAW_DATA);
  if (text.bytes.length < HEADER_ADDRESS_OFFSET + 8)
    throw new ImageError('the image is damaged: its interpreter is cut off');
  const view = new DataView(text.bytes.buffer, text.bytes.byteOffset);
  const headerAddress = view.getBigUint64(HEADER_ADDRESS_OFFSET, true);
  if (headerAddress < data.address || headerAddress >= data.address + BigInt(data.bytes.length)) {
    throw new ImageError(`the image is damaged: its thaw header is outside of ${THAW_DATA}`);
  }
  return { text, data, headerAddress };
}

function readSection(source: Source, sections: readonly ImageSection[], name: string): ThawSegment {
  const section = sections.find((s) => s.name === name && !s.nobits);
  if (!section) throw new ImageError(`the image is damaged: it has no section ${name}`);
  const size = bounded(BigInt(section.size), 'a thaw segment is too long:', section.offset);
  return { address: section.address, bytes: source.read(section.offset, size) };
}

function bounded(value: bigint, what: string, offset: number): number {
  if (value > BigInt(MAX_SIZE)) throw new ElfError(what, offset, value);
  return Number(value);
}
