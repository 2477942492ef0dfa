import test from 'ava';
import { parseLimits } from '../../src/proc/identity.js';
import { parseTimers } from '../../src/proc/query.js';
import { hex, numbers, parseStat, parseStatus } from '../../src/proc/status.js';

test('status fields are found by name', (t) => {
  const status = parseStatus('Name:\ta b\nUid:\t1\t2\t3\t4\nSigBlk:\t0000000000010000\nGroups:\t \n');
  t.is(status.get('Name'), 'a b');
  t.deepEqual(numbers(status, 'Uid'), [1, 2, 3, 4]);
  t.deepEqual(numbers(status, 'Groups'), []);
  t.is(hex(status, 'SigBlk'), 0x10000n);
  t.throws(() => numbers(status, 'Gid'), { message: /Gid/ });
});

test('stat is read behind a name with blanks and parentheses', (t) => {
  const fields = Array.from({ length: 50 }, (_, i) => String(i + 3));
  fields[0] = 'S';
  const stat = parseStat(`42 (a) b (c) ${fields.join(' ')}\n`);
  t.is(stat.state, 'S');
  t.is(stat.parent, 4);
  t.is(stat.startBrk, 47n);
  t.is(stat.envEnd, 51n);
});

test('limits: unlimited is RLIM_INFINITY', (t) => {
  const text =
    'Limit                     Soft Limit           Hard Limit           Units     \n' +
    'Max open files            1024                 unlimited            files     \n';
  t.deepEqual(parseLimits(text), [{ resource: 7, soft: 1024n, hard: 0xffff_ffff_ffff_ffffn }]);
});

test('timers are read with signal, value and thread', (t) => {
  const text =
    'ID: 3\nsignal: 10/00000000deadbeef\nnotify: signal/pid.42\nClockID: 1\n' +
    'ID: 5\nsignal: 32/0000000000000007\nnotify: signal/tid.43\nClockID: 0\n';
  t.deepEqual(parseTimers(text), [
    { id: 3, clock: 1, signal: 10, value: 0xdeadbeefn, notify: 0, tid: 0 },
    { id: 5, clock: 0, signal: 32, value: 7n, notify: 4, tid: 43 },
  ]);
});
