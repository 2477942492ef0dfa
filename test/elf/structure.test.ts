import test from 'ava';
import { ELFCLASS32, ELFDATA2MSB } from '../../src/elf/constants.js';
import { EHDR, type Phdr, phdrFields, SHDR, symFields } from '../../src/elf/headers.js';
import { decode, ELF64_LSB, encode, sizeOf } from '../../src/elf/structure.js';

const phdr: Phdr = {
  p_type: 1,
  p_flags: 5,
  p_offset: 0x1000n,
  p_vaddr: 0x7fff_ffff_f000n,
  p_paddr: 0xffff_ffff_ffff_f000n,
  p_filesz: 1n,
  p_memsz: 2n,
  p_align: 4096n,
};

test('structures have the sizes of the specification', (t) => {
  const elf32 = { class: ELFCLASS32, data: ELFDATA2MSB };
  const sizes = (encoding: typeof elf32) => [
    sizeOf(EHDR, encoding) + 16,
    sizeOf(phdrFields(encoding), encoding),
    sizeOf(SHDR, encoding),
    sizeOf(symFields(encoding), encoding),
  ];
  t.deepEqual(sizes(ELF64_LSB), [64, 56, 64, 24]);
  t.deepEqual(sizes(elf32), [52, 32, 40, 16]);
});

test('what is written is read back', (t) => {
  const fields = phdrFields(ELF64_LSB);
  t.deepEqual(decode(fields, ELF64_LSB, encode(fields, phdr)), phdr);
});

test('the 32-bit big-endian form comes out in the same neutral type', (t) => {
  const words = [1, 0x1000, 0x8000_0000, 0x8000_0000, 1, 2, 5, 4096];
  const bytes = Buffer.alloc(32);
  words.forEach((word, i) => {
    bytes.writeUInt32BE(word, i * 4);
  });
  const encoding = { class: ELFCLASS32, data: ELFDATA2MSB };
  const address = 0x8000_0000n;
  const expected = { ...phdr, p_vaddr: address, p_paddr: address };
  t.deepEqual(decode(phdrFields(encoding), encoding, bytes), expected);
});
