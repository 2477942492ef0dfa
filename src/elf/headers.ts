import { EI_NIDENT, ELFCLASS64 } from './constants.js';
import { type Encoding, type Fields, sizeOf } from './structure.js';

/** `Ehdr` without `e_ident`, which precedes it and says how to read it. */
export interface Ehdr {
  e_type: number;
  e_machine: number;
  e_version: number;
  e_entry: bigint;
  e_phoff: bigint;
  e_shoff: bigint;
  e_flags: number;
  e_ehsize: number;
  e_phentsize: number;
  e_phnum: number;
  e_shentsize: number;
  e_shnum: number;
  e_shstrndx: number;
}

/** The file header behind `e_ident`. */
export const EHDR: Fields<Ehdr> = [
  ['e_type', 'Half'],
  ['e_machine', 'Half'],
  ['e_version', 'Word'],
  ['e_entry', 'Native'],
  ['e_phoff', 'Native'],
  ['e_shoff', 'Native'],
  ['e_flags', 'Word'],
  ['e_ehsize', 'Half'],
  ['e_phentsize', 'Half'],
  ['e_phnum', 'Half'],
  ['e_shentsize', 'Half'],
  ['e_shnum', 'Half'],
  ['e_shstrndx', 'Half'],
];

/** Program header. */
export interface Phdr {
  p_type: number;
  p_flags: number;
  p_offset: bigint;
  p_vaddr: bigint;
  p_paddr: bigint;
  p_filesz: bigint;
  p_memsz: bigint;
  p_align: bigint;
}

const PHDR64: Fields<Phdr> = [
  ['p_type', 'Word'],
  ['p_flags', 'Word'],
  ['p_offset', 'Native'],
  ['p_vaddr', 'Native'],
  ['p_paddr', 'Native'],
  ['p_filesz', 'Native'],
  ['p_memsz', 'Native'],
  ['p_align', 'Native'],
];

const PHDR32: Fields<Phdr> = [
  ['p_type', 'Word'],
  ['p_offset', 'Native'],
  ['p_vaddr', 'Native'],
  ['p_paddr', 'Native'],
  ['p_filesz', 'Native'],
  ['p_memsz', 'Native'],
  ['p_flags', 'Word'],
  ['p_align', 'Native'],
];

/** The fields of `Phdr` in the order of the class. */
export function phdrFields(encoding: Encoding): Fields<Phdr> {
  return encoding.class === ELFCLASS64 ? PHDR64 : PHDR32;
}

/** Section header. */
export interface Shdr {
  sh_name: number;
  sh_type: number;
  sh_flags: bigint;
  sh_addr: bigint;
  sh_offset: bigint;
  sh_size: bigint;
  sh_link: number;
  sh_info: number;
  sh_addralign: bigint;
  sh_entsize: bigint;
}

/** A section header; its fields come in the same order in both classes. */
export const SHDR: Fields<Shdr> = [
  ['sh_name', 'Word'],
  ['sh_type', 'Word'],
  ['sh_flags', 'Native'],
  ['sh_addr', 'Native'],
  ['sh_offset', 'Native'],
  ['sh_size', 'Native'],
  ['sh_link', 'Word'],
  ['sh_info', 'Word'],
  ['sh_addralign', 'Native'],
  ['sh_entsize', 'Native'],
];

/** Symbol. */
export interface Sym {
  st_name: number;
  st_info: number;
  st_other: number;
  st_shndx: number;
  st_value: bigint;
  st_size: bigint;
}

const SYM64: Fields<Sym> = [
  ['st_name', 'Word'],
  ['st_info', 'Byte'],
  ['st_other', 'Byte'],
  ['st_shndx', 'Half'],
  ['st_value', 'Native'],
  ['st_size', 'Native'],
];

const SYM32: Fields<Sym> = [
  ['st_name', 'Word'],
  ['st_value', 'Native'],
  ['st_size', 'Native'],
  ['st_info', 'Byte'],
  ['st_other', 'Byte'],
  ['st_shndx', 'Half'],
];

/** The fields of `Sym` in the order of the class. */
export function symFields(encoding: Encoding): Fields<Sym> {
  return encoding.class === ELFCLASS64 ? SYM64 : SYM32;
}

/** Header of a note: the same in both classes. */
export interface Nhdr {
  n_namesz: number;
  n_descsz: number;
  n_type: number;
}

/** A note header, before name and descriptor. */
export const NHDR: Fields<Nhdr> = [
  ['n_namesz', 'Word'],
  ['n_descsz', 'Word'],
  ['n_type', 'Word'],
];

/** Size of the file header, `e_ident` included, in bytes. */
export function ehdrSize(encoding: Encoding): number {
  return EI_NIDENT + sizeOf(EHDR, encoding);
}
