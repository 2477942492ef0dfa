import test from 'ava';
import { THREAD_SETTINGS } from '../../src/snapshot/prctl-settings.js';
import { planSettings } from '../../src/thaw/thread.js';

const speculation = (what: number) =>
  THREAD_SETTINGS.find(({ name, before }) => name === 'PR_SET_SPECULATION_CTRL' && before === what)!;

// The numbers are those of linux/prctl.h: 1 the thread may choose, 2 on, 4 off, 8 off for ever, 16 off until execve.
test('what a thread has chosen about speculation is carried, not what the machine has', (t) => {
  const cases: readonly (readonly [what: number, told: number, carried: number | null])[] = [
    [0, 0, null],
    [0, 2, null],
    [0, 8, null],
    [0, 1 | 2, null],
    [0, 1 | 4, 4],
    [1, 1 | 8, 8],
    [0, 1 | 16, 16],
    [2, 1 | 4, null],
    [2, 1 | 2, 2],
  ];
  for (const [what, told, carried] of cases)
    t.is(speculation(what).carried(told), carried, `${what} ${told}`);
});

test('each of several settings of one option is set by its own number', (t) => {
  const ops = planSettings(THREAD_SETTINGS, [
    { option: 53, which: 1, value: 8 },
    { option: 33, value: 1 },
  ]);
  t.deepEqual(
    ops.map((op) => (op.op === 'syscall' ? op.args.slice(0, 3) : [])),
    [
      [53, 1, 8],
      [33, 1, 1],
    ],
  );
  t.throws(() => planSettings(THREAD_SETTINGS, [{ option: 53, which: 3, value: 8 }]), {
    message: /option 53/,
  });
});
