import { PF, PT, SHF, SHT } from '../elf/constants.js';
import type { Phdr, Shdr } from '../elf/headers.js';
import type { StringTable } from '../elf/write.js';
import { PAGE_SIZE } from '../page.js';
import type { ImageLayout, ImageSection, ImageSegment } from './layout.js';
import type { Range } from './vendor-note.js';

/** The program headers of an image: `PT_NOTE`, `PT_GNU_STACK`, then the `PT_LOAD`s. */
export function programHeaders(segments: readonly ImageSegment[], notes: Range): Phdr[] {
  return [
    {
      p_type: PT.NOTE,
      p_flags: PF.R,
      p_offset: BigInt(notes.offset),
      p_vaddr: 0n,
      p_paddr: 0n,
      p_filesz: BigInt(notes.size),
      p_memsz: 0n,
      p_align: 4n,
    },
    {
      p_type: PT.GNU_STACK,
      p_flags: PF.R | PF.W,
      p_offset: 0n,
      p_vaddr: 0n,
      p_paddr: 0n,
      p_filesz: 0n,
      p_memsz: 0n,
      p_align: 16n,
    },
    ...segments.map((segment) => ({
      p_type: PT.LOAD,
      p_flags: segment.flags,
      p_offset: BigInt(segment.offset),
      p_vaddr: segment.vaddr,
      p_paddr: segment.paddr,
      p_filesz: BigInt(segment.filesz),
      p_memsz: BigInt(segment.memsz),
      p_align: BigInt(PAGE_SIZE),
    })),
  ];
}

/** Headers of all sections but section 0; that of the section names, the last, still lacks its place. */
export function sectionHeaders(
  layout: ImageLayout,
  notes: Range,
  coreSize: number,
  strings: StringTable,
): Shdr[] {
  const regions = layout.sections.map((section) => regionHeader(section, layout.segments, strings));
  const other = (name: string, type: number, offset: number, size: number, align: bigint): Shdr => ({
    sh_name: strings.add(name),
    sh_type: type,
    sh_flags: 0n,
    sh_addr: 0n,
    sh_offset: BigInt(offset),
    sh_size: BigInt(size),
    sh_link: 0,
    sh_info: 0,
    sh_addralign: align,
    sh_entsize: 0n,
  });
  return [
    ...regions,
    other('.note.core', SHT.NOTE, notes.offset, coreSize, 4n),
    other('.note.proc2elf', SHT.NOTE, notes.offset + coreSize, notes.size - coreSize, 4n),
    other('.shstrtab', SHT.STRTAB, 0, 0, 1n),
  ];
}

function regionHeader(section: ImageSection, segments: readonly ImageSegment[], strings: StringTable): Shdr {
  const flags =
    (isLoaded(section, segments) ? SHF.ALLOC : 0) |
    (section.writable ? SHF.WRITE : 0) |
    (section.executable ? SHF.EXECINSTR : 0);
  return {
    sh_name: strings.add(section.name),
    sh_type: section.nobits ? SHT.NOBITS : SHT.PROGBITS,
    sh_flags: BigInt(flags),
    sh_addr: section.address,
    sh_offset: BigInt(section.offset),
    sh_size: BigInt(section.size),
    sh_link: 0,
    sh_info: 0,
    sh_addralign: BigInt(section.address) % BigInt(PAGE_SIZE) === 0n ? BigInt(PAGE_SIZE) : 1n,
    sh_entsize: 0n,
  };
}

/** Whether a section lies in a segment: only then it occupies memory before the thaw program runs. */
function isLoaded({ address, size }: ImageSection, segments: readonly ImageSegment[]): boolean {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const segment = segments[middle];
    if (segment && segment.vaddr + BigInt(segment.memsz) <= address) low = middle + 1;
    else high = middle;
  }
  const segment = segments[low];
  return (
    segment !== undefined &&
    segment.vaddr <= address &&
    address + BigInt(size) <= segment.vaddr + BigInt(segment.memsz)
  );
}
