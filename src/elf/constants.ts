/** Constants of the ELF specification and of Linux's `<elf.h>`, in their words and order. */

/** The file's first four bytes: 0x7f, `ELF`. */
export const ELFMAG = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46);

/** Indexes into `e_ident`. */
export const EI_CLASS = 4;
export const EI_DATA = 5;
export const EI_VERSION = 6;
export const EI_NIDENT = 16;

export const ELFCLASS32 = 1;
export const ELFCLASS64 = 2;
export const ELFDATA2LSB = 1;
export const ELFDATA2MSB = 2;
export const EV_CURRENT = 1;

/** Values of `e_type`. */
export const ET = { NONE: 0, REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;

/** Values of `e_machine`; the ones this program meets. */
export const EM = { 386: 3, ARM: 40, X86_64: 62, AARCH64: 183, RISCV: 243 } as const;

/** `e_phnum` where the true number is in `sh_info` of section 0. */
export const PN_XNUM = 0xffff;

/** Values of `p_type`. */
export const PT = {
  NULL: 0,
  LOAD: 1,
  DYNAMIC: 2,
  INTERP: 3,
  NOTE: 4,
  SHLIB: 5,
  PHDR: 6,
  TLS: 7,
  GNU_STACK: 0x6474e551,
} as const;

/** Bits of `p_flags`. */
export const PF = { X: 1, W: 2, R: 4 } as const;

/** Special section indexes. */
export const SHN = { UNDEF: 0, LORESERVE: 0xff00, XINDEX: 0xffff } as const;

/** Values of `sh_type`. */
export const SHT = { NULL: 0, PROGBITS: 1, SYMTAB: 2, STRTAB: 3, NOTE: 7, NOBITS: 8, DYNSYM: 11 } as const;

/** Bits of `sh_flags`. */
export const SHF = { WRITE: 1, ALLOC: 2, EXECINSTR: 4 } as const;

/** Note types of core files, `n_name` "CORE" but for X86_XSTATE, which is of "LINUX". */
export const NT = {
  PRSTATUS: 1,
  PRFPREG: 2,
  PRPSINFO: 3,
  AUXV: 6,
  X86_XSTATE: 0x202,
  FILE: 0x46494c45,
  SIGINFO: 0x53494749,
} as const;

/** Name of a constant in one of the tables above, or the number in hexadecimal. */
export function constantName(table: Readonly<Record<string, number>>, value: number): string {
  const entry = Object.entries(table).find(([, v]) => v === value);
  return entry ? entry[0] : `0x${value.toString(16)}`;
}
