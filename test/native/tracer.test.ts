import test, { type ExecutionContext } from 'ava';
import { startTracer, type ThreadState, type Tracer, TracerError } from '../../src/native/tracer.js';
import { children, compile, mapping, sleep, start, status, type Target, threadsOf } from './targets.js';

const crowd = compile('crowd');

async function hold(t: ExecutionContext, program: string, ...args: string[]): Promise<[Target, Tracer]> {
  const target = start(program, ...args);
  t.is(await target.line(), 'ready');
  const tracer = startTracer();
  t.teardown(() => {
    target.process.kill('SIGKILL');
    tracer.close();
  });
  return [target, tracer];
}

const rip = (state: ThreadState) => Buffer.from(state.registers).readBigUInt64LE(128);

test('a thousand threads are seized in well under a second', async (t) => {
  const [target, tracer] = await hold(t, crowd, '1000', '0');
  const begin = performance.now();
  const tids = tracer.seize(target.pid);
  const seized = performance.now();
  for (const tid of tids) tracer.state(tid);
  const read = performance.now();
  tracer.release('run');
  t.log(`seize ${seized - begin} ms, states ${read - seized} ms, release ${performance.now() - read} ms`);
  t.is(tids.length, 1001);
  t.is(new Set(tids).size, 1001);
  t.true(seized - begin < 1000);
});

test("after release('stop') no thread has run a single instruction", async (t) => {
  const [target, tracer] = await hold(t, crowd, '2', '4');
  const tids = tracer.seize(target.pid);
  const before = tids.map((tid) => tracer.state(tid));
  tracer.release('stop');
  t.is(status(target.pid, 'State')[0], 'T');
  await sleep(20);
  t.deepEqual(tracer.seize(target.pid), tids);
  const after = tids.map((tid) => tracer.state(tid));
  t.true(after.every((state) => state.groupStopped));
  t.deepEqual(
    after.map((state) => ({ ...state, groupStopped: false })),
    before,
  );
  tracer.release('run');
  for (let i = 0; i < 200 && !status(target.pid, 'State').startsWith('T'); i++) await sleep(5);
  t.is(status(target.pid, 'State')[0], 'T');
});

test('a thread is stepped out of the vDSO', async (t) => {
  const [target, tracer] = await hold(t, crowd, '0', '1');
  const [start, end] = mapping(target.pid, '[vdso]');
  const within = (state: ThreadState) => rip(state) >= start && rip(state) < end;
  for (let attempt = 0, found = 0; found < 5 && attempt < 1000; attempt++) {
    const tid = tracer.seize(target.pid)[1]!;
    if (within(tracer.state(tid))) {
      found++;
      t.true(tracer.stepOut(tid, start, end, 10_000));
      t.false(within(tracer.state(tid)));
    }
    tracer.release('run');
  }
  t.not(status(target.pid, 'State')[0], 'T');
});

test('setResult decides what a call returns', async (t) => {
  const target = start('sh', '-c', 'exec 2>&1; sleep 100 | cat; echo end');
  t.teardown(() => target.process.kill('SIGKILL'));
  await sleep(200);
  const cat = Number(/\n(\d+) \(cat\)/.exec(children(target.pid))![1]);
  const tracer = startTracer();
  tracer.seize(cat);
  tracer.setResult(cat, -5n); // -EIO
  tracer.release('run');
  tracer.close();
  t.regex((await target.line())!, /Input\/output error/);
});

test('a process that executes others all the time gives a clean result or a clean error', async (t) => {
  const [target] = await hold(t, compile('execs'));
  for (let i = 0; i < 100; i++) {
    const tracer = startTracer();
    try {
      const tids = tracer.seize(target.pid);
      for (const tid of tids) tracer.state(tid);
      tracer.release('run');
    } catch (error) {
      t.true(error instanceof TracerError, String(error));
    }
    tracer.close();
  }
  // In the middle of execve(2) the leader has ended, until the thread that called takes its id.
  let state = '';
  const isZombie = () => {
    state = status(target.pid, 'State');
    return state.startsWith('Z');
  };
  const begun = performance.now();
  let told = false;
  while (isZombie() && performance.now() - begun < 60_000) {
    if (!told && performance.now() - begun > 500) {
      t.log(threadsOf(target.pid));
      told = true;
    }
    await sleep(5);
  }
  t.is(target.process.exitCode ?? target.process.signalCode, null);
  // As it was seen last: by now it may be in the middle of another.
  t.regex(state, /^[RSD]/);
});

test('no such process, a process that is traced already', async (t) => {
  const tracer = startTracer();
  t.throws(() => tracer.seize(0x3fffff), { code: 'ESRCH' });
  const [target, other] = await hold(t, crowd, '0', '0');
  other.seize(target.pid);
  t.throws(() => tracer.seize(target.pid), { code: 'EPERM' });
  other.release('run');
  t.deepEqual(tracer.seize(target.pid), [target.pid]);
  tracer.close();
  t.is(status(target.pid, 'TracerPid'), '0');
});
