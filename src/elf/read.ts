import {
  EI_CLASS,
  EI_DATA,
  EI_NIDENT,
  EI_VERSION,
  ELFCLASS32,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFDATA2MSB,
  ELFMAG,
  EV_CURRENT,
  PN_XNUM,
  SHN,
  SHT,
} from './constants.js';
import { ElfError } from './error.js';
import { EHDR, type Ehdr, ehdrSize, type Phdr, phdrFields, SHDR, type Shdr } from './headers.js';
import type { Source } from './source.js';
import { decode, type Encoding, type Fields, sizeOf } from './structure.js';

/** A section header with its name. */
export interface Section extends Shdr {
  readonly name: string;
}

/** The headers of an ELF file. Nothing they point to has been looked at, but the names of sections. */
export interface ElfFile {
  readonly encoding: Encoding;
  readonly header: Ehdr;
  readonly segments: readonly Phdr[];
  readonly sections: readonly Section[];
}

/** More headers than this are taken for damage: a table of so many is larger than all else we read. */
const MAX_HEADERS = 1 << 20;

/** A longer string table is taken for damage, in bytes. */
const MAX_STRINGS = 64 << 20;

/** A longer name of a section or symbol is taken for damage, in bytes; one of a region holds a path. */
const MAX_NAME = 16384;

/**
 * Reads the headers of an ELF file of either class and byte order.
 * @throws ElfError on anything that is not as the specification says
 */
export function readElf(source: Source): ElfFile {
  const encoding = readIdent(source);
  const header = readEhdr(source, encoding);
  const first = header.e_shoff === 0n ? undefined : readTable(source, encoding, SHDR, header.e_shoff, 1)[0];
  const phnum = header.e_phnum === PN_XNUM && first ? first.sh_info : header.e_phnum;
  const segments = readTable(source, encoding, phdrFields(encoding), header.e_phoff, phnum);
  const shnum = header.e_shnum === 0 && first ? Number(first.sh_size) : header.e_shnum;
  const shdrs = readTable(source, encoding, SHDR, header.e_shoff, shnum);
  const shstrndx = header.e_shstrndx === SHN.XINDEX && first ? first.sh_link : header.e_shstrndx;
  return { encoding, header, segments, sections: nameSections(source, shdrs, shstrndx) };
}

/** A 64-bit field as a number. @throws ElfError beyond 2^53 */
export function toNumber(value: bigint, what: string, offset: number): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ElfError(what, offset, value);
  return Number(value);
}

/** The string at `index` of a string table. @throws ElfError if it does not end there, or is longer than 16 KiB */
export function stringAt(table: Uint8Array, index: number, tableOffset: number): string {
  const length = table.subarray(index, index + MAX_NAME).indexOf(0);
  if (length < 0) throw new ElfError('no string in the string table at', tableOffset, index);
  const end = index + length;
  return Buffer.from(table.buffer, table.byteOffset + index, end - index).toString();
}

function readIdent(source: Source): Encoding {
  if (source.size < EI_NIDENT) throw new ElfError('not an ELF file: too short:', 0, source.size);
  const ident = source.read(0, EI_NIDENT);
  if (!ELFMAG.every((byte, i) => ident[i] === byte)) {
    throw new ElfError(
      'not an ELF file: it begins with',
      0,
      Buffer.from(ident.subarray(0, 4)).toString('hex'),
    );
  }
  const encoding = { class: ident[EI_CLASS] ?? 0, data: ident[EI_DATA] ?? 0 };
  if (encoding.class !== ELFCLASS32 && encoding.class !== ELFCLASS64) {
    throw new ElfError('unknown ELF class', EI_CLASS, encoding.class);
  }
  if (encoding.data !== ELFDATA2LSB && encoding.data !== ELFDATA2MSB) {
    throw new ElfError('unknown ELF data encoding', EI_DATA, encoding.data);
  }
  if (ident[EI_VERSION] !== EV_CURRENT)
    throw new ElfError('unknown ELF version', EI_VERSION, ident[EI_VERSION]);
  return encoding;
}

function readEhdr(source: Source, encoding: Encoding): Ehdr {
  const size = ehdrSize(encoding);
  const header = decode(EHDR, encoding, source.read(0, size).subarray(EI_NIDENT));
  const sizes: readonly (readonly [string, number, number, boolean])[] = [
    ['e_ehsize', header.e_ehsize, size, true],
    ['e_phentsize', header.e_phentsize, sizeOf(phdrFields(encoding), encoding), header.e_phnum > 0],
    ['e_shentsize', header.e_shentsize, sizeOf(SHDR, encoding), header.e_shoff > 0n],
  ];
  for (const [name, value, expected, used] of sizes) {
    if (used && value !== expected) throw new ElfError(`${name} should be ${expected}, is`, 0, value);
  }
  return header;
}

function readTable<T>(
  source: Source,
  encoding: Encoding,
  fields: Fields<T>,
  offset: bigint,
  count: number,
): T[] {
  const at = toNumber(offset, 'a header table lies at', 0);
  if (count > MAX_HEADERS) throw new ElfError('too many headers:', at, count);
  const size = sizeOf(fields, encoding);
  const bytes = source.read(at, size * count);
  return Array.from({ length: count }, (_, i) =>
    decode(fields, encoding, bytes.subarray(i * size, (i + 1) * size)),
  );
}

function nameSections(source: Source, shdrs: readonly Shdr[], shstrndx: number): Section[] {
  if (shdrs.length === 0 || shstrndx === SHN.UNDEF) return shdrs.map((shdr) => ({ ...shdr, name: '' }));
  const strings = shdrs[shstrndx];
  if (strings?.sh_type !== SHT.STRTAB) throw new ElfError('no string table in section', 0, shstrndx);
  const offset = toNumber(strings.sh_offset, 'the string table lies at', 0);
  if (strings.sh_size > MAX_STRINGS) {
    throw new ElfError('the string table is too long:', offset, strings.sh_size);
  }
  const table = source.read(offset, Number(strings.sh_size));
  let total = 0;
  return shdrs.map((shdr) => {
    const name = stringAt(table, shdr.sh_name, offset);
    // Headers may share strings: without a bound a small file could have names without end.
    total += name.length;
    if (total > MAX_STRINGS) throw new ElfError('the names of sections are too long in all:', offset, total);
    return { ...shdr, name };
  });
}
