import test from 'ava';
import { NODES_SIZE, policiesIn, policyText } from '../../src/proc/memory-policy.js';
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

test('the policy of a thread reads as in numa_maps', (t) => {
  const nodes = (...bytes: number[]) => Buffer.concat([Buffer.from(bytes), Buffer.alloc(NODES_SIZE)]);
  t.is(policyText(0, nodes()), null);
  t.is(policyText(4, nodes()), 'local');
  t.is(policyText(2, nodes(0b1011, 1)), 'bind:0-1,3,8');
  t.is(policyText(0x8003, nodes(0b101)), 'interleave=static:0,2');
  t.is(policyText(1 | 0x4000, nodes(0x80, 1)), 'prefer=relative:7-8');
});

test('a thread that flushes is known by its flags', (t) => {
  const stat = (flags: number) => `7 (a) b) S 1 7 7 0 -1 ${flags} 100 0 0`;
  t.false(isFlusher(stat(0x40_0000)));
  t.true(isFlusher(stat(0x58_0000)));
});
