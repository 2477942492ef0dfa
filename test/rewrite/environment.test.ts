import test from 'ava';
import { ImageError } from '../../src/errors.js';
import { rewriteEnvironment } from '../../src/rewrite/environment.js';

const block = Buffer.from('HOME=/home/a\0PATH=/bin\0A=1\0');
const set = (from: Uint8Array, ...values: [string, string][]) =>
  Buffer.from(rewriteEnvironment(from, new Map(values))).toString();

test('a value takes the place of the old one, and no string moves', (t) => {
  t.is(set(block, ['PATH', '/a']), 'HOME=/home/a\0PATH=/a\0\0\0A=1\0');
  t.is(set(block, ['HOME', '/home/b'], ['A', '2']), 'HOME=/home/b\0PATH=/bin\0A=2\0');
  t.is(block.toString(), 'HOME=/home/a\0PATH=/bin\0A=1\0');
});

test('room that a shorter value has left can be taken again', (t) => {
  const shorter = Buffer.from(set(block, ['HOME', ''], ['A', '']));
  t.is(set(shorter, ['HOME', '/home/c'], ['A', '3']), 'HOME=/home/c\0PATH=/bin\0A=3\0');
});

test('refused by name: what does not fit, and what is not there', (t) => {
  t.throws(() => set(block, ['PATH', '/bin2']), {
    instanceOf: ImageError,
    message: /^--env PATH: the new value does not fit: it takes 10 bytes with its name, the old block has 9/,
  });
  t.throws(() => set(block, ['OME', '']), { instanceOf: ImageError, message: /^--env OME: .* has no OME/ });
});
