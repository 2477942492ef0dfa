import test from 'ava';
import { policiesIn } from '../../src/proc/memory-policy.js';
import { isFlusher } from '../../src/proc/threads-apart.js';

test('policies are found in the text of numa_maps', (t) => {
  const text = [
    '5581c6c6e000 default file=/usr/bin/node\\040default mapped=4 N0=4 kernelpagesize_kB=4',
    '7f0000000000 bind:0-1 anon=3 dirty=3 N0=3 kernelpagesize_kB=4',
    '7f0000100000 default',
    '7f0000200000 interleave=static:0,2 anon=3',
    '7ffd5ce4a000 prefer:1',
  ].join('\n');
  t.deepEqual(policiesIn(`${text}\n`), ['bind:0-1', 'interleave=static:0,2', 'prefer:1']);
});

test('a thread that flushes is known by its flags', (t) => {
  const stat = (flags: number) => `7 (a) b) S 1 7 7 0 -1 ${flags} 100 0 0`;
  t.false(isFlusher(stat(0x40_0000)));
  t.true(isFlusher(stat(0x58_0000)));
});
