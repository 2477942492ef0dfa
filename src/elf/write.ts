import {
  EI_CLASS,
  EI_DATA,
  EI_NIDENT,
  EI_VERSION,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFMAG,
  EV_CURRENT,
  PN_XNUM,
  SHN,
  SHT,
} from './constants.js';
import { EHDR, type Ehdr, ehdrSize, type Phdr, phdrFields, SHDR, type Shdr } from './headers.js';
import { ELF64_LSB, encode, sizeOf } from './structure.js';

/** Sizes in bytes of the structures of a 64-bit file. */
export const EHDR_SIZE = ehdrSize(ELF64_LSB);
export const PHDR_SIZE = sizeOf(phdrFields(ELF64_LSB), ELF64_LSB);
export const SHDR_SIZE = sizeOf(SHDR, ELF64_LSB);

/** What the file header says that does not follow from the rest. */
export interface HeaderFields {
  readonly type: number;
  readonly machine: number;
  readonly entry: bigint;
  /** File offsets of the header tables. */
  readonly phoff: number;
  readonly shoff: number;
  /** Index of the section of section names. */
  readonly shstrndx: number;
}

/** The file header. Section numbers beyond 65279 are left to section 0; see {@link encodeSectionHeaders}. */
export function encodeHeader(fields: HeaderFields, phnum: number, shnum: number): Uint8Array {
  if (phnum >= PN_XNUM) throw new RangeError(`${phnum} program headers`);
  const ident = new Uint8Array(EI_NIDENT);
  ident.set(ELFMAG);
  ident[EI_CLASS] = ELFCLASS64;
  ident[EI_DATA] = ELFDATA2LSB;
  ident[EI_VERSION] = EV_CURRENT;
  const header: Ehdr = {
    e_type: fields.type,
    e_machine: fields.machine,
    e_version: EV_CURRENT,
    e_entry: fields.entry,
    e_phoff: BigInt(fields.phoff),
    e_shoff: BigInt(fields.shoff),
    e_flags: 0,
    e_ehsize: EHDR_SIZE,
    e_phentsize: PHDR_SIZE,
    e_phnum: phnum,
    e_shentsize: SHDR_SIZE,
    e_shnum: shnum < SHN.LORESERVE ? shnum : 0,
    e_shstrndx: fields.shstrndx < SHN.LORESERVE ? fields.shstrndx : SHN.XINDEX,
  };
  return Buffer.concat([ident, encode(EHDR, header)]);
}

/** The program header table. */
export function encodeProgramHeaders(phdrs: readonly Phdr[]): Uint8Array {
  const fields = phdrFields(ELF64_LSB);
  return Buffer.concat(phdrs.map((phdr) => encode(fields, phdr)));
}

/**
 * The section header table: section 0, which this function makes, then `shdrs`. Section 0 holds the
 * number of sections and the index of the string table where these do not fit into the file header.
 */
export function encodeSectionHeaders(shdrs: readonly Shdr[], shstrndx: number): Uint8Array {
  const shnum = shdrs.length + 1;
  const first: Shdr = {
    sh_name: 0,
    sh_type: SHT.NULL,
    sh_flags: 0n,
    sh_addr: 0n,
    sh_offset: 0n,
    sh_size: shnum < SHN.LORESERVE ? 0n : BigInt(shnum),
    sh_link: shstrndx < SHN.LORESERVE ? 0 : shstrndx,
    sh_info: 0,
    sh_addralign: 0n,
    sh_entsize: 0n,
  };
  return Buffer.concat([first, ...shdrs].map((shdr) => encode(SHDR, shdr)));
}

/** A string table in the making. */
export class StringTable {
  readonly #parts: Uint8Array[] = [Uint8Array.of(0)];
  readonly #known = new Map<string, number>([['', 0]]);
  #size = 1;

  /** Index of `text` in the table. */
  add(text: string): number {
    let index = this.#known.get(text);
    if (index === undefined) {
      const bytes = Buffer.from(`${text}\0`);
      index = this.#size;
      this.#parts.push(bytes);
      this.#size += bytes.length;
      this.#known.set(text, index);
    }
    return index;
  }

  /** The content of the section. */
  toBytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}
