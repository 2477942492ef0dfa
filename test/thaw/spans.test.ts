import test from 'ava';
import { longestSpan, packExtents } from '../../src/thaw/spans.js';

const MIB = 1n << 20n;

test('near extents share a span, far ones do not, and offsets follow', (t) => {
  const { spans, extents, end } = packExtents(
    [
      { start: 0n, size: 4096, offset: 0 },
      { start: 8192n, size: 4096, offset: 0 },
      { start: MIB, size: 8192, offset: 0 },
    ],
    65536,
  );
  t.deepEqual(spans, [
    { start: 0n, end: 12288n, offset: 65536 },
    { start: MIB, end: MIB + 8192n, offset: 65536 + 12288 },
  ]);
  t.deepEqual(
    extents.map(({ offset }) => offset),
    [65536, 65536 + 8192, 65536 + 12288],
  );
  t.is(end, 65536 + 12288 + 8192);
  t.is(longestSpan(spans), spans[0]);
});

test('nothing takes no room', (t) => {
  t.deepEqual(packExtents([], 4096), { spans: [], extents: [], end: 4096 });
  t.is(longestSpan([]), undefined);
});

test('an extent that ends within a page takes the whole page', (t) => {
  t.is(packExtents([{ start: 0n, size: 5, offset: 0 }], 4096).end, 8192);
});
