import test from 'ava';
import { planName } from '../../src/thaw/memory.js';
import { makeRegion } from '../snapshot/fixture.js';

const namesOf = (path: string): string[] => {
  const names: string[] = [];
  planName(makeRegion(0x10000n, { path }), (name) => {
    names.push(name);
    return 0n;
  });
  return names;
};

test('named memory is named again, private or shared', (t) => {
  t.deepEqual(namesOf('[anon: Go: heap]'), [' Go: heap']);
  t.deepEqual(namesOf('[anon_shmem:cache]'), ['cache']);
  for (const path of ['', '[heap]', '/srv/[anon:x]']) t.deepEqual(namesOf(path), []);
});

test('what cannot be named stays nameless: another kernel, or a mapping of the image', (t) => {
  const [op] = planName(makeRegion(0x10000n, { path: '[anon:x]' }), () => 0n);
  t.like(op, { check: { kind: 'ok', tolerated: ['EINVAL', 'EBADF'] } });
});
