import test from 'ava';
import { requiredFeatures } from '../../src/proc/processor.js';

/** An XSAVE area with these components in use. */
function using(components: bigint): { xstate: Uint8Array } {
  const xstate = Buffer.alloc(576);
  xstate.writeBigUInt64LE(components, 512);
  return { xstate };
}

test('what any thread uses is required, and what every processor has', (t) => {
  t.is(requiredFeatures([using(0x1n), using(0x4n), using(0xe0n)], 0xe7n), 0xe7n);
  t.is(requiredFeatures([using(0n)], 0n), 3n);
});

test('what the kernel permits unasked is not required', (t) => {
  t.is(requiredFeatures([using(3n)], 0x2_02ffn), 3n);
});

test('AMX is required where the process has asked for it, though no tile be in use', (t) => {
  t.is(requiredFeatures([using(7n)], 0x6_00e7n), 0x6_0007n);
});
