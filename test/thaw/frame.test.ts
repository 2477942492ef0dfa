import test from 'ava';
import { signalFrameXstate, trimXstate } from '../../src/thaw/frame.js';

/** Of a processor with AMX: AVX, PKRU, XTILEDATA. */
const COMPONENTS = Array.from({ length: 19 }, (_, i) => {
  if (i === 2) return { offset: 576, size: 256 };
  if (i === 9) return { offset: 2688, size: 8 };
  return i === 18 ? { offset: 2816, size: 8192 } : { offset: 0, size: 0 };
});
const LARGEST = 2816 + 8192;

function area(inUse: bigint): Uint8Array {
  const bytes = Buffer.alloc(LARGEST);
  bytes.writeBigUInt64LE(0x602e7n, 464);
  bytes.writeBigUInt64LE(inUse, 512);
  return bytes;
}

test('an XSAVE area ends behind the last component in use', (t) => {
  t.is(trimXstate(area(3n), COMPONENTS).length, 576);
  t.is(trimXstate(area(7n), COMPONENTS).length, 832);
  t.is(trimXstate(area(0x207n), COMPONENTS).length, 2696);
  t.is(trimXstate(area(0x40207n), COMPONENTS).length, LARGEST);
});

test('a signal frame tells the size of what is in it', (t) => {
  const frame = Buffer.from(signalFrameXstate(trimXstate(area(0x207n), COMPONENTS)));
  t.is(frame.readUInt32LE(464), 0x46505853);
  t.is(frame.readUInt32LE(468), 2700);
  t.is(frame.readUInt32LE(480), 2696);
  t.is(frame.readUInt32LE(2696), 0x46505845);
});
