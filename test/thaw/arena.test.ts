import test from 'ava';
import { Arena } from '../../src/thaw/arena.js';

const BASE = 0x7000n;

test('equal strings share one place, however many there are, and others do not', (t) => {
  const arena = new Arena(BASE);
  const texts = Array.from({ length: 5000 }, (_, i) => `mmap(0x${i.toString(16)})`);
  const first = texts.map((text) => arena.string(text));
  const { size } = arena;
  t.deepEqual(
    texts.map((text) => arena.string(text)),
    first,
  );
  t.is(arena.size, size);
  t.is(new Set(first).size, texts.length);
  const content = Buffer.from(arena.toBytes());
  texts.forEach((text, i) => {
    const at = Number(first[i]! - BASE);
    t.is(content.toString('latin1', at, content.indexOf(0, at)), text);
  });
});

test('what follows a string that was there already lies in zeros', (t) => {
  const arena = new Arena(BASE);
  arena.string('once');
  arena.string('once');
  const at = Number(arena.reserve(16, 1) - BASE);
  t.deepEqual(Buffer.from(arena.toBytes().subarray(at, at + 16)), Buffer.alloc(16));
});

test('an end of another string is one of its own', (t) => {
  const arena = new Arena(BASE);
  t.not(arena.string('unmap'), arena.string('map'));
  t.is(arena.string(''), arena.string(''));
});
