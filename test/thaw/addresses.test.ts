import test from 'ava';
import { findPlace, gaps, merge, STACK_WINDOW_START } from '../../src/thaw/addresses.js';

test('gaps lists what lies between ranges', (t) => {
  const ranges = [
    { start: 10n, end: 20n },
    { start: 20n, end: 30n },
    { start: 40n, end: 60n },
  ];
  t.deepEqual(gaps(ranges, 0n, 50n), [
    { start: 0n, end: 10n },
    { start: 30n, end: 40n },
  ]);
  t.deepEqual(gaps([], 5n, 6n), [{ start: 5n, end: 6n }]);
});

test('merge joins ranges that touch, in any order', (t) => {
  t.deepEqual(
    merge([
      { start: 30n, end: 40n },
      { start: 0n, end: 10n },
      { start: 10n, end: 20n },
      { start: 35n, end: 50n },
    ]),
    [
      { start: 0n, end: 20n },
      { start: 30n, end: 50n },
    ],
  );
});

test('the place for our own segments is free, below the stack window, and away from neighbours', (t) => {
  const occupied = [
    { start: 0x5555_0000_0000n, end: 0x5556_0000_0000n },
    { start: 0x7ff0_0000_0000n, end: STACK_WINDOW_START + 4096n },
  ];
  const place = findPlace(occupied, 1n << 30n)!;
  t.true(place > occupied[0]!.end);
  t.true(place + (1n << 30n) < occupied[1]!.start);
});

test('a full address space has no place', (t) => {
  t.is(findPlace([{ start: 0x1_0000n, end: STACK_WINDOW_START }], 4096n), null);
});
