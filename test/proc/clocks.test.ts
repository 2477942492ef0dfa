import test from 'ava';
import { clockOffsets, parseOffsets } from '../../src/proc/clocks.js';

test('offsets of a time namespace, negative ones too', (t) => {
  t.deepEqual(parseOffsets('monotonic      100000         7\nboottime           -2 500000000\n'), {
    monotonic: 100_000_000_000_007n,
    boottime: -1_500_000_000n,
  });
});

test('our own clocks are not ahead of ours', (t) => {
  t.deepEqual(clockOffsets(process.pid), { monotonic: 0n, boottime: 0n });
});
