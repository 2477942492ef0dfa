import test from 'ava';
import { UsageError } from '../../../src/errors.js';
import { parseChoices, parseTcp, parseUnixPeer } from '../../../src/proc/descriptors/choices.js';

test('numbers and paths; relative ones start at the folder', (t) => {
  const { drop, replace } = parseChoices(['3', 4], ['5=out.log', '6=/dev/null', '7=a=b'], '/srv');
  t.deepEqual([...drop], [3, 4]);
  t.deepEqual(
    [...replace],
    [
      [5, '/srv/out.log'],
      [6, '/dev/null'],
      [7, '/srv/a=b'],
    ],
  );
});

test('the null device, what is passed in, and no descriptor', (t) => {
  const { drop, replace, inherit } = parseChoices(
    ['1'],
    ['3=null', '4=inherit', '5=drop', '6=./null', '7=./inherit'],
    '/srv',
    ['8', 8],
  );
  t.deepEqual([...drop], [1, 5]);
  t.deepEqual([...inherit], [8, 4]);
  t.deepEqual(
    [...replace],
    [
      [3, '/dev/null'],
      [6, '/srv/null'],
      [7, '/srv/inherit'],
    ],
  );
});

test('an external descriptor cannot be another thing as well', (t) => {
  t.throws(() => parseChoices([], ['5=null'], '/', [5]), { instanceOf: UsageError });
  t.throws(() => parseChoices([5], [], '/', [5]), { instanceOf: UsageError });
  t.throws(() => parseChoices([], [], '/', ['x']), { instanceOf: UsageError });
});

for (const [drop, fd] of [
  [['x'], []],
  [['-1'], []],
  [[], ['5']],
  [[], ['5=']],
  [[], ['=a']],
  [['5'], ['5=a']],
  [[], ['5=a', '5=b']],
] as const) {
  test(`refused: --drop-fd ${drop.join(' ')} --fd ${fd.join(' ')}`, (t) => {
    t.throws(() => parseChoices(drop, fd), { instanceOf: UsageError });
  });
}

test('--tcp', (t) => {
  t.is(parseTcp('close'), 'close');
  t.is(parseTcp('keep'), 'keep');
  t.throws(() => parseTcp('drop'), { instanceOf: UsageError, message: /--tcp close/ });
});

test('what becomes of Unix domain sockets to other processes', (t) => {
  t.is(parseUnixPeer('close'), 'close');
  t.is(parseUnixPeer('refuse'), 'refuse');
  const error = t.throws(() => parseUnixPeer('keep'), { instanceOf: UsageError });
  t.is(error?.message, '--unix-peer keep: say --unix-peer close or --unix-peer refuse');
});
