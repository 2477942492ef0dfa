import test from 'ava';
import { bytesOfText, filePath, quoted, textOfBytes } from '../src/byte-text.js';

test('bytes come back, whether they are text or not', (t) => {
  const cases = [
    '',
    '61',
    'c3a9',
    'f09f9880',
    'efbfbd',
    '80',
    'ff80',
    '61c3',
    'c3a9c3',
    'f09f98',
    'edb280',
    'c0af',
    'f4908080',
    `ff${'61'.repeat(5000)}${'c3a9'.repeat(5000)}${'e282ac'.repeat(3)}e282`,
  ];
  for (const hex of cases) {
    const bytes = Buffer.from(hex, 'hex');
    t.is(bytesOfText(textOfBytes(bytes)).toString('hex'), hex);
    t.is(bytesOfText(JSON.parse(JSON.stringify(textOfBytes(bytes)))).toString('hex'), hex);
  }
});

test('text is itself', (t) => {
  t.is(textOfBytes(Buffer.from('é \u{1f600}')), 'é \u{1f600}');
  t.is(textOfBytes(Buffer.from([0x61, 0xc3])), 'a\udcc3');
});

test('a path is given to the kernel as the bytes that it had', (t) => {
  t.is(filePath('/é\u{1f600}'), '/é\u{1f600}');
  t.deepEqual(filePath('/\udcff'), Buffer.from([0x2f, 0xff]));
});

test('a listing tells bytes from text', (t) => {
  t.is(quoted('é"\n'), '"é\\"\\n"');
  t.is(quoted('\udcff\\udcff\\\udc80'), '"\\xff\\\\udcff\\\\\\x80"');
});
