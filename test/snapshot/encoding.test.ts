import test from 'ava';
import { ImageError } from '../../src/errors.js';
import { decodeSnapshot, encodeSnapshot } from '../../src/snapshot/encoding.js';
import type { Snapshot } from '../../src/snapshot/schema.js';
import { makeRegion, makeSnapshot, makeThread } from './fixture.js';

test('a snapshot comes back as it was', (t) => {
  const snapshot = makeSnapshot();
  t.deepEqual(decodeSnapshot(encodeSnapshot(snapshot)), snapshot);
});

test('equal snapshots give equal bytes, whatever the order of their keys', (t) => {
  const snapshot = makeSnapshot();
  const reversed = Object.fromEntries(Object.entries(snapshot).reverse()) as Snapshot;
  t.deepEqual(encodeSnapshot(reversed), encodeSnapshot(snapshot));
});

test('an image from before permissions were kept has none', (t) => {
  const text = Buffer.from(encodeSnapshot(makeSnapshot({ permittedFeatures: 0x6_00e7n }))).toString();
  const older = text.replace('"permittedFeatures":{"$n":"600e7"},', '');
  t.not(older, text);
  t.is(decodeSnapshot(Buffer.from(text)).processes[0]?.permittedFeatures, 0x6_00e7n);
  t.is(decodeSnapshot(Buffer.from(older)).processes[0]?.permittedFeatures, 0n);
});

test('buffers, odd strings and the ends of number ranges survive', (t) => {
  const snapshot = makeSnapshot({
    comm: '\u0000\x1b[2J\ud800 ☃ "\\',
    threads: [
      makeThread(1, { signalMask: 0xffff_ffff_ffff_ffffn, xstate: Buffer.from([0, 255]), nice: -20 }),
    ],
    regions: [makeRegion(0xffff_ffff_ff60_0000n, { path: '[vsyscall]' })],
  });
  const [process] = decodeSnapshot(encodeSnapshot(snapshot)).processes;
  t.is(process?.comm, snapshot.processes[0]?.comm);
  t.is(process?.threads[0]?.signalMask, 0xffff_ffff_ffff_ffffn);
  t.deepEqual(process?.threads[0]?.xstate, Uint8Array.of(0, 255));
});

test('what is not a snapshot is refused, with the place', (t) => {
  const decode = (text: string) => () => decodeSnapshot(Buffer.from(text));
  const good = Buffer.from(encodeSnapshot(makeSnapshot())).toString();
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /JSON/],
    ['{', /JSON/],
    ['null', /snapshot/],
    [good.replace('"pid":4242', '"pid":-1'), /processes\[0\]\.pid/],
    [good.replace('{"$n":"401000"}', '{"$n":"xyz"}'), /not a number: "xyz"/],
    [good.replace('"AQID"', '"A"'), /not base64/],
    [
      good.replace('"fd":3,"file":1,"c', '"fd":3,"file":99,"c'),
      /descriptors\[3\]\.file: there is no number 99/,
    ],
    [good.replace('"seals":1,"pageSize":4096', '"seals":1,"pageSize":8192'), /objects\[0\]\.pageSize/],
    [`${'['.repeat(1e6)}${']'.repeat(1e6)}`, /damaged/],
  ];
  for (const [text, message] of cases) {
    t.throws(decode(text), { instanceOf: ImageError, message }, message.source);
  }
  t.throws(() => decodeSnapshot(Uint8Array.of(0x22, 0xff, 0x22)), { instanceOf: ImageError });
});

test('a snapshot that makes no sense is not written either', (t) => {
  const overlapping = [makeRegion(0x2000n), makeRegion(0x1000n)];
  t.throws(() => encodeSnapshot(makeSnapshot({ regions: overlapping })), {
    instanceOf: ImageError,
    message: /regions\[1\]: overlaps/,
  });
  const outside = [makeRegion(0x1000n, { extents: [{ start: 0x1000n, size: 8192, offset: 0 }] })];
  t.throws(() => encodeSnapshot(makeSnapshot({ regions: outside })), { instanceOf: ImageError });
});

test('10,000 regions and 1,000 threads come back', (t) => {
  const regions = Array.from({ length: 10_000 }, (_, i) => makeRegion(BigInt(i + 1) * 0x2000n));
  const threads = Array.from({ length: 1000 }, (_, i) => makeThread(5000 + i));
  const { processes } = decodeSnapshot(encodeSnapshot(makeSnapshot({ regions, threads })));
  t.is(processes[0]?.regions.length, 10_000);
  t.is(processes[0]?.threads.length, 1000);
});
