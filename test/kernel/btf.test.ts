import test from 'ava';
import { Btf, BtfError } from '../../src/kernel/btf.js';

const STRINGS = '\0unsigned int\0outer\0first\0low\0high\0inner\0array\0loop\0';
const name = (text: string): number => STRINGS.indexOf(`\0${text}\0`) + 1;
const words = (...values: number[]): Buffer => Buffer.from(Uint32Array.from(values).buffer);
const info = (kind: number, members = 0, bitFields = false): number =>
  ((bitFields ? 0x80000000 : 0) | (kind << 24) | members) >>> 0;
const bitField = (bit: number, size: number): number => (size << 24) | bit;

const TYPES = [
  words(name('unsigned int'), info(1), 4, 32), // 1
  words(0, info(3), 0, 1, 1, 3), // 2: unsigned int[3]
  words(0, info(5, 2), 12, name('inner'), 1, 0, name('array'), 2, 0), // 3: a nameless union
  words(0, info(10), 1), // 4: const unsigned int
  words(
    ...[name('outer'), info(4, 4, true), 20],
    ...[name('first'), 4, bitField(0, 0)],
    ...[name('low'), 1, bitField(32, 3)],
    ...[name('high'), 1, bitField(39, 9)],
    ...[0, 3, bitField(64, 0)],
  ), // 5
  words(name('loop'), info(8), 6), // 6: means itself
  words(name('loop'), info(4, 1), 4, name('first'), 6, 0), // 7
];

function table(types: Buffer, strings = STRINGS): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f, 0);
  header.writeUInt8(1, 2);
  [24, 0, types.length, types.length, strings.length].forEach((value, i) => {
    header.writeUInt32LE(value, 4 + 4 * i);
  });
  return Buffer.concat([header, types, Buffer.from(strings, 'latin1')]);
}

const btf = new Btf(table(Buffer.concat(TYPES)));

test('members are found, those of nameless structures among them', (t) => {
  t.is(btf.sizeOf('outer'), 20);
  t.deepEqual(btf.member('outer', 'first'), { offset: 0, size: 4, bits: null });
  t.deepEqual(btf.member('outer', 'inner'), { offset: 8, size: 4, bits: null });
  t.deepEqual(btf.member('outer', 'array'), { offset: 8, size: 12, bits: null });
});

test('bit fields say which bits they are', (t) => {
  t.deepEqual(btf.member('outer', 'low'), { offset: 4, size: 1, bits: { from: 0, count: 3 } });
  t.deepEqual(btf.member('outer', 'high'), { offset: 4, size: 2, bits: { from: 7, count: 9 } });
});

test('what is not there is an error that names it', (t) => {
  // Again the same, though it is not looked for anew.
  for (let i = 0; i < 2; i++) {
    t.false(btf.has('outer', 'nothing'));
    t.throws(() => btf.member('outer', 'nothing'), { instanceOf: BtfError, message: /outer\.nothing/ });
  }
  t.throws(() => btf.member('outer', 'first.deeper'), { instanceOf: BtfError });
  t.throws(() => btf.sizeOf('unsigned int'), { instanceOf: BtfError });
  t.true(btf.has('outer', 'low'));
  t.false(btf.has('outer', 'lower'));
});

test('damaged tables are refused', (t) => {
  t.throws(() => new Btf(Buffer.alloc(24)), { instanceOf: BtfError });
  t.throws(() => new Btf(Buffer.alloc(3)), { instanceOf: BtfError });
  t.throws(() => new Btf(table(TYPES[4]!.subarray(0, 20))), { instanceOf: BtfError, message: /cut short/ });
  t.throws(() => btf.member('loop', 'first'), { instanceOf: BtfError, message: /no end/ });
});
