import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { compile, read, sleep, start } from './targets.js';

const harass = fileURLToPath(new URL('harass.js', import.meta.url));

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

async function harassed(pid: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [harass, String(pid)], {
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
