import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import test from 'ava';
import { ET, PT } from '../../src/elf/constants.js';
import { ElfError } from '../../src/elf/error.js';
import { readElf } from '../../src/elf/read.js';
import { bytesSource, fileSource } from '../../src/elf/source.js';
import { readDynamicSymbols } from '../../src/elf/symbols.js';

test('reads a program of this machine', (t) => {
  const fd = openSync(process.execPath, 'r');
  try {
    const elf = readElf(fileSource(fd));
    t.true(elf.header.e_type === ET.EXEC || elf.header.e_type === ET.DYN);
    t.true(elf.segments.some(({ p_type }) => p_type === PT.LOAD));
    t.is(elf.sections[0]?.name, '');
    t.true(elf.sections.some(({ name }) => name === '.text'));
  } finally {
    closeSync(fd);
  }
});

test('reads the symbols of the vDSO from memory', (t) => {
  const line = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .find((l) => l.endsWith('[vdso]'));
  const [start = 0, end = 0] = (line?.split(' ')[0] ?? '').split('-').map((s) => Number.parseInt(s, 16));
  const fd = openSync('/proc/self/mem', 'r');
  const bytes = Buffer.alloc(end - start);
  t.is(readSync(fd, bytes, 0, bytes.length, start), bytes.length);
  closeSync(fd);
  const source = bytesSource(bytes);
  const names = readDynamicSymbols(source, readElf(source)).map(({ name }) => name);
  t.true(names.includes('__vdso_clock_gettime'));
});

test('what is not ELF, or damaged, is refused with offset and value', (t) => {
  const parse = (bytes: Uint8Array) => () => readElf(bytesSource(bytes));
  t.throws(parse(new Uint8Array(0)), { instanceOf: ElfError });
  t.throws(parse(Buffer.from('#!/bin/sh\necho hello\n')), {
    instanceOf: ElfError,
    message: /not an ELF file/,
  });
  const minimal = Buffer.alloc(64);
  minimal.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  minimal.writeUInt16LE(64, 52);
  t.deepEqual(readElf(bytesSource(minimal)).segments, []);
  const error = t.throws(
    () => {
      minimal[4] = 7;
      parse(minimal)();
    },
    { instanceOf: ElfError },
  );
  t.is(error?.offset, 4);
  t.is(error?.value, 7);
});

test('header tables behind the end of the file are refused', (t) => {
  const bytes = Buffer.alloc(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(3, 56);
  bytes.writeBigUInt64LE(0xffff_ffff_ffff_fff0n, 32);
  t.throws(() => readElf(bytesSource(bytes)), { instanceOf: ElfError });
});
