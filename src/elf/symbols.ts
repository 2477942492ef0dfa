import { SHN, SHT } from './constants.js';
import { ElfError } from './error.js';
import { type Sym, symFields } from './headers.js';
import { type ElfFile, stringAt, toNumber } from './read.js';
import type { Source } from './source.js';
import { decode, sizeOf } from './structure.js';

/** A symbol with its name. */
export interface Symbol extends Sym {
  readonly name: string;
}

/**
 * The defined dynamic symbols (section type `SHT_DYNSYM`), for instance the entry points of a vDSO.
 * @throws ElfError if the table or its strings are damaged
 */
export function readDynamicSymbols(source: Source, elf: ElfFile): Symbol[] {
  const section = elf.sections.find((s) => s.sh_type === SHT.DYNSYM);
  if (!section) return [];
  const strings = elf.sections[section.sh_link];
  const at = toNumber(section.sh_offset, 'the symbol table lies at', 0);
  if (strings?.sh_type !== SHT.STRTAB) throw new ElfError('no string table in section', at, section.sh_link);
  const stringsAt = toNumber(strings.sh_offset, 'the string table lies at', at);
  const table = source.read(stringsAt, toNumber(strings.sh_size, 'the string table is too long:', stringsAt));
  const bytes = source.read(at, toNumber(section.sh_size, 'the symbol table is too long:', at));
  const fields = symFields(elf.encoding);
  const size = sizeOf(fields, elf.encoding);
  const symbols: Symbol[] = [];
  for (let i = 0; i + size <= bytes.length; i += size) {
    const sym = decode(fields, elf.encoding, bytes.subarray(i, i + size));
    if (sym.st_shndx !== SHN.UNDEF) symbols.push({ ...sym, name: stringAt(table, sym.st_name, stringsAt) });
  }
  return symbols;
}
