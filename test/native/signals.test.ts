import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { addon } from '../../src/native/addon.js';
import { startTracer, type Tracer } from '../../src/native/tracer.js';
import { CLOBBER, plant } from './inject.js';
import { compile, gadget, sleep, start, status, type Target } from './targets.js';

const SIGUSR1 = 10;
const SIGSEGV = 11;
const SIGRT = 34;
const [SI_USER, SI_QUEUE] = [0, -1];

const program = compile('signals');

/** A process that is held; let go when the test is over. */
async function hold(t: ExecutionContext): Promise<{ target: Target; tracer: Tracer }> {
  const target = start(program);
  t.is(await target.line(), 'ready');
  const tracer = startTracer();
  t.teardown(() => {
    target.process.kill('SIGKILL');
    tracer.close();
  });
  return { target, tracer };
}

/** rt_sigqueueinfo(2). */
function queue(pid: number, signal: number, value: number): void {
  const info = Buffer.alloc(128);
  info.writeInt32LE(signal, 0);
  info.writeInt32LE(SI_QUEUE, 8);
  info.writeInt32LE(value, 24);
  addon.syscall(129, pid, signal, info);
}

function inject(target: Target, tracer: Tracer): void {
  const at = gadget(target.pid);
  const code = plant(tracer, target.pid, target.pid, at, CLOBBER);
  tracer.run(target.pid, code, code + 65536n, 0n);
}

async function stateBecomes(t: ExecutionContext, pid: number, letter: string): Promise<void> {
  for (let i = 0; i < 1000 && !status(pid, 'State').startsWith(letter); i++) await sleep(5);
  t.is(status(pid, 'State')[0], letter);
}

test('signals sent during the hold arrive afterwards, each once, in order', async (t) => {
  const { target, tracer } = await hold(t);
  tracer.seize(target.pid);
  for (let i = 0; i < 5; i++) queue(target.pid, SIGRT, i);
  process.kill(target.pid, 'SIGUSR1');
  process.kill(target.pid, 'SIGSEGV'); // as if of a fault, but it was sent
  inject(target, tracer);
  for (let i = 5; i < 8; i++) queue(target.pid, SIGRT, i);

  const pending = tracer.sharedPending(target.pid).map((info) => Buffer.from(info).readInt32LE(0));
  t.deepEqual(pending.filter((signal) => signal === SIGRT).length, 8);
  const own = tracer.state(target.pid).pending.map((info) => Buffer.from(info).readInt32LE(0));
  t.deepEqual([...pending, ...own].filter((signal) => signal === SIGSEGV).length, 1);
  tracer.release('run');

  const lines: string[] = [];
  for (let i = 0; i < 10; i++) lines.push((await target.line())!);
  t.deepEqual(
    lines.slice().sort(),
    [
      `${SIGUSR1} ${SI_USER} 0`,
      `${SIGSEGV} ${SI_USER} 0`,
      ...Array.from({ length: 8 }, (_, i) => `${SIGRT} ${SI_QUEUE} ${i}`),
    ].sort(),
  );
  const values = lines.filter((line) => line.startsWith(`${SIGRT} `));
  t.deepEqual(values, values.slice().sort());
  await sleep(50);
  process.kill(target.pid, 'SIGTERM');
  t.deepEqual(await target.rest(), []);
});

test('a stopped process stays stopped, also after an injection', async (t) => {
  const { target, tracer } = await hold(t);
  process.kill(target.pid, 'SIGSTOP');
  await stateBecomes(t, target.pid, 'T');
  tracer.seize(target.pid);
  t.true(tracer.state(target.pid).groupStopped);
  tracer.release('run');
  await stateBecomes(t, target.pid, 'T');

  tracer.seize(target.pid);
  inject(target, tracer);
  tracer.release('run');
  await stateBecomes(t, target.pid, 'T');
  await sleep(50);
  t.is(status(target.pid, 'State')[0], 'T');

  process.kill(target.pid, 'SIGCONT');
  await stateBecomes(t, target.pid, 'S');
  process.kill(target.pid, 'SIGUSR1');
  t.is(await target.line(), `${SIGUSR1} ${SI_USER} 0`);
});

test('SIGSTOP during an injection takes effect at the release', async (t) => {
  const { target, tracer } = await hold(t);
  tracer.seize(target.pid);
  process.kill(target.pid, 'SIGSTOP');
  inject(target, tracer);
  t.is(tracer.syscall(target.pid, gadget(target.pid), 39, []), BigInt(target.pid));
  tracer.release('run');
  await stateBecomes(t, target.pid, 'T');

  process.kill(target.pid, 'SIGCONT');
  await stateBecomes(t, target.pid, 'S');
});

test('SIGSTOP and SIGCONT during the hold leave the process running', async (t) => {
  const { target, tracer } = await hold(t);
  tracer.seize(target.pid);
  process.kill(target.pid, 'SIGSTOP');
  inject(target, tracer);
  process.kill(target.pid, 'SIGCONT');
  tracer.release('run');
  await stateBecomes(t, target.pid, 'S');
  await sleep(50);
  t.is(status(target.pid, 'State')[0], 'S');
});

test('a process that is killed while held is gone at once, and requests say so', async (t) => {
  const { target, tracer } = await hold(t);
  tracer.seize(target.pid);
  inject(target, tracer);
  target.process.kill('SIGKILL');
  t.deepEqual(await once(target.process, 'exit'), [null, 'SIGKILL']);
  t.throws(() => tracer.state(target.pid), { code: 'ESRCH' });
  t.throws(() => tracer.run(target.pid, 0n, 0n, 0n), { code: 'ESRCH' });
  t.notThrows(() => tracer.release('run'));
  t.throws(() => tracer.seize(target.pid), { code: 'ESRCH' });
});

test("release('kill') ends the process", async (t) => {
  const { target, tracer } = await hold(t);
  tracer.seize(target.pid);
  const exit = once(target.process, 'exit');
  tracer.release('kill');
  t.deepEqual(await exit, [null, 'SIGKILL']);
});

test('a fault of injected code is reported, and the handler of its signal is not called', async (t) => {
  const { target, tracer } = await hold(t);
  tracer.seize(target.pid);
  const at = gadget(target.pid);
  const code = plant(tracer, target.pid, target.pid, at, Buffer.from('488b042500000000', 'hex')); // load of 0
  t.throws(() => tracer.run(target.pid, code, code + 65536n, 0n), {
    code: 'EFAULT',
    message: new RegExp(`signal 0xb at 0x${code.toString(16)}`),
  });
  tracer.release('run');
  process.kill(target.pid, 'SIGUSR1');
  t.is(await target.line(), `${SIGUSR1} ${SI_USER} 0`);
  process.kill(target.pid, 'SIGSEGV');
  t.is(await target.line(), `${SIGSEGV} ${SI_USER} 0`);
});
