import test from 'ava';
import { ElfError } from '../../src/elf/error.js';
import { decodeNotes, encodeNotes } from '../../src/elf/notes.js';
import { ELF64_LSB } from '../../src/elf/structure.js';

const notes = [
  { name: 'CORE', type: 1, desc: Uint8Array.of(1, 2, 3) },
  { name: 'LINUX', type: 0x202, desc: new Uint8Array(0) },
  { name: 'proc2elf', type: 1, desc: Uint8Array.of(9, 9, 9, 9, 9) },
];

test('notes are padded to four bytes and read back with their places', (t) => {
  const bytes = encodeNotes(notes);
  t.is(bytes.length, 12 + 8 + 4 + (12 + 8) + (12 + 12 + 8));
  const read = decodeNotes(bytes, ELF64_LSB, 1000);
  t.deepEqual(
    read.map(({ name, type, desc }) => ({ name, type, desc: Uint8Array.from(desc) })),
    notes,
  );
  t.deepEqual(
    read.map(({ offset }) => offset),
    [1020, 1044, 1068],
  );
});

test('a note that does not fit is refused with its place and its size', (t) => {
  const bytes = Buffer.from(encodeNotes(notes));
  bytes.writeUInt32LE(0xffff_fff0, 4);
  const error = t.throws(() => decodeNotes(bytes, ELF64_LSB, 1000), { instanceOf: ElfError });
  t.is(error?.offset, 1000);
  t.is(error?.value, 0xffff_fff0);
  t.throws(() => decodeNotes(bytes.subarray(0, 8), ELF64_LSB), { instanceOf: ElfError });
});

test('too many notes, and a name without end, are refused', (t) => {
  const bytes = encodeNotes(notes);
  t.is(decodeNotes(bytes, ELF64_LSB, 0, 4, 3).length, 3);
  t.throws(() => decodeNotes(bytes, ELF64_LSB, 0, 4, 2), { instanceOf: ElfError, message: /too many notes/ });
  const named = encodeNotes([{ name: 'x'.repeat(5000), type: 1, desc: new Uint8Array(0) }]);
  t.throws(() => decodeNotes(named, ELF64_LSB), { instanceOf: ElfError, message: /too long: 5001/ });
});
