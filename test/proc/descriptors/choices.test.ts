import test from 'ava';
import { UsageError } from '../../../src/errors.js';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';

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
