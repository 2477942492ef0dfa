import test from 'ava';
import type { Tracer } from '../../src/native/tracer.js';
import { tryLater, whenSettled } from '../../src/proc/hold.js';

test('a thread in the vDSO is given time, but not for ever', async (t) => {
  let released = 0;
  const tracer = {
    release: () => {
      released++;
    },
  } as unknown as Tracer;
  const attempts: boolean[] = [];
  const result = await whenSettled(tracer, 42, (patient) => {
    attempts.push(patient);
    if (patient) tryLater();
    return 'stepped out';
  });
  t.is(result, 'stepped out');
  t.true(attempts.length > 1 && attempts.length <= 31, `${attempts.length} attempts`);
  t.is(attempts.indexOf(false), attempts.length - 1);
  t.is(released, attempts.length - 1, 'it runs in between');
});

test('whatever else fails is not tried again', async (t) => {
  const tracer = { release: () => t.fail() } as unknown as Tracer;
  const attempt = () => {
    throw new Error('no');
  };
  await t.throwsAsync(whenSettled(tracer, 42, attempt), { message: 'no' });
});

test('what does not become less is waited for no longer', async (t) => {
  const tracer = { release: () => undefined } as unknown as Tracer;
  const left = [3, 2, 2];
  const attempts: boolean[] = [];
  await whenSettled(tracer, 42, (patient) => {
    attempts.push(patient);
    if (patient) tryLater(1, left.shift());
  });
  t.deepEqual(attempts, [true, true, true, false]);
});
