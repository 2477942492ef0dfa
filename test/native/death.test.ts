import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { startTracer } from '../../src/native/tracer.js';
import { interrogate } from './interrogation.js';
import { compile, compileTracer, read, sleep, start } from './targets.js';

const harass = fileURLToPath(new URL('harass.js', import.meta.url));
const interrogator = fileURLToPath(new URL('interrogate.js', import.meta.url));

/** Waits until no thread is traced any more. */
async function released(t: ExecutionContext, pid: number): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const traced = readdirSync(`/proc/${pid}/task`).filter(
      (tid) => !/^TracerPid:\t0$/m.test(statusOf(pid, tid)),
    );
    if (traced.length === 0) return;
    if (Date.now() > deadline) t.fail(`still traced: ${traced.join(' ')}`);
    await sleep(2);
  }
}

/** Text of a thread's status; of one that has ended meanwhile, what says that it is not traced. */
function statusOf(pid: number, tid: string): string {
  try {
    return read(`/proc/${pid}/task/${tid}/status`);
  } catch {
    return 'TracerPid:\t0';
  }
}

async function harassed(pid: number, script = harass): Promise<ChildProcess> {
  const child = spawn(process.execPath, [script, String(pid)], {
    detached: true, // a process group of its own, to be killed as a whole
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout!, 'data');
  return child;
}

test('the command line dies at a hundred instants, the target notices nothing', async (t) => {
  t.timeout(240_000);
  const target = start(compile('selfcheck'));
  t.is(await target.line(), 'ready');
  for (let i = 0; i < 100; i++) {
    const child = await harassed(target.pid);
    await sleep((i * 7) % 50);
    const until = performance.now() + Math.random(); // between the timer's milliseconds
    while (performance.now() < until);
    t.is(child.exitCode, null);
    process.kill(-child.pid!, 'SIGKILL');
    await once(child, 'exit');
    await released(t, target.pid);
    if (target.process.exitCode !== null) break;
  }
  target.process.kill('SIGTERM');
  t.deepEqual(await target.rest(), ['ok']);
});

function killTracerOf(commandLine: number): void {
  const pids = read(`/proc/${commandLine}/task/${commandLine}/children`).trim().split(' ');
  for (const pid of pids.filter(Boolean).map(Number)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has ended meanwhile
    }
  }
}

/** Anonymous memory that may be executed, of which the target has none of its own. */
function strayMappings(pid: number): string[] {
  return read(`/proc/${pid}/maps`)
    .split('\n')
    .filter((line) => /^\S+ r-xp \S+ \S+ 0 *$/.test(line));
}

/** What a tracer that died has left behind, the next one removes. */
async function cleanUp(t: ExecutionContext, pid: number): Promise<void> {
  const tracer = startTracer();
  await interrogate(tracer, pid);
  tracer.close();
  t.deepEqual(strayMappings(pid), []);
}

test('the tracer itself dies at dozens of instants, the target comes to itself', async (t) => {
  t.timeout(600_000);
  // Without epoll_wait: between our stop and our hand on its result, nothing can help it.
  const target = start(compile('selfcheck'), 'restartable');
  t.is(await target.line(), 'ready');
  let left = 0;
  for (let i = 0; i < 60 && target.process.exitCode === null; i++) {
    const child = await harassed(target.pid, interrogator);
    await sleep((i * 7) % 60);
    const until = performance.now() + Math.random(); // between the timer's milliseconds
    while (performance.now() < until);
    killTracerOf(child.pid!);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await released(t, target.pid);
    left += strayMappings(target.pid).length;
  }
  t.log(`${left} times a mapping was left behind`);
  await cleanUp(t, target.pid);
  target.process.kill('SIGTERM');
  t.deepEqual(await target.rest(), ['ok']);
});

for (const name of ['sleeper', 'sleeper-static']) {
  test(`the tracer dies before each of its calls of ptrace, ${name} sleeps on`, async (t) => {
    t.timeout(240_000);
    const target = start(compile('sleeper', name.endsWith('static') ? ['-static'] : []));
    t.is(await target.line(), 'ready');
    const dying = compileTracer();
    let calls = 0;
    for (let finished = false; !finished && target.process.exitCode === null; calls++) {
      writeFileSync(`${dying}.at`, String(calls + 1));
      const tracer = startTracer(dying);
      try {
        await interrogate(tracer, target.pid);
        finished = true;
      } catch (error) {
        t.is((error as { code?: string }).code, 'EPIPE', String(error));
      }
      tracer.close();
      await released(t, target.pid);
    }
    t.true(calls > 50, `${calls}`);
    await cleanUp(t, target.pid);
    target.process.kill('SIGTERM');
    t.deepEqual(await target.rest(), ['ok']);
  });
}

test('a stopped target, in which a thread has not come back yet, is left alone until it runs', async (t) => {
  t.timeout(240_000);
  const target = start(compile('sleeper'));
  t.is(await target.line(), 'ready');
  const dying = compileTracer();
  let refused = 0;
  let finished = false;
  for (let call = 1; !finished && target.process.exitCode === null; call += 3) {
    target.process.kill('SIGSTOP');
    writeFileSync(`${dying}.at`, String(call));
    const first = startTracer(dying);
    try {
      await interrogate(first, target.pid);
      finished = true;
    } catch (error) {
      t.is((error as { code?: string }).code, 'EPIPE', String(error));
    }
    first.close();
    await released(t, target.pid);
    const second = startTracer();
    try {
      await interrogate(second, target.pid);
    } catch (error) {
      refused++;
      t.regex(String(error), /SIGCONT/);
    }
    second.close();
    target.process.kill('SIGCONT');
    await released(t, target.pid);
  }
  t.true(refused > 0, 'the query is among the places where the tracer died');
  await cleanUp(t, target.pid);
  target.process.kill('SIGTERM');
  t.deepEqual(await target.rest(), ['ok']);
});
