/** Whatever happens to the tool, the target runs on as if nothing had been. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { freeze as freezeHere } from '../../src/index.js';
import { testWith } from './harness/needs.js';
import { cli, target } from './harness/paths.js';
import { childrenOf, type Running, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, type Outcome, proc2elf } from './harness/tool.js';

const INSTANTS = 100;

/** Waits until nobody traces the process any more and none of its threads is stopped. */
async function untilLeftAlone(target: Running): Promise<void> {
  const { pid } = target;
  for (;;) {
    if (!existsSync(`/proc/${pid}/task`)) {
      const { code, signal } = await target.ending();
      throw new Error(`the target has ended: ${code ?? signal}: ${target.stdout}${target.stderr}`);
    }
    const states = readdirSync(`/proc/${pid}/task`).map((tid) => {
      const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
      return /^TracerPid:\t0$/m.test(status) && !/^State:\t[tT]/m.test(status);
    });
    if (states.every(Boolean)) return;
    await pause(5);
  }
}

function killByPid(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

testWith([], `the tool is killed at ${INSTANTS} instants, and the target does not notice`, async (t) => {
  t.timeout(900_000);
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const guarded = start(t, target('guard'), [], { cwd });
  await guarded.ready();
  const begun = performance.now();
  await freeze(guarded.pid, image, [], { cwd });
  const whole = performance.now() - begun;
  for (let instant = 0; instant < INSTANTS; instant++) {
    const tool = spawn(process.execPath, [cli, String(guarded.pid), '-o', join(cwd, 'lost.bin'), '-q'], {
      stdio: 'ignore',
    });
    const ended = once(tool, 'close');
    // The first tenth is only the start of the tool.
    await pause(whole * (0.1 + (0.95 * instant) / INSTANTS));
    tool.kill('SIGKILL');
    await ended;
    await untilLeftAlone(guarded);
    if (guarded.stdout !== 'ready\n') break;
  }
  const left = readdirSync(cwd).filter((name) => name !== 'frozen.bin' && name !== 'lost.bin');
  t.deepEqual(left, [], 'no half image stays behind');
  await guarded.goAndExpectOk();
  // And the image of such a process is a good one, too.
  const thawed = start(t, image, [], { cwd });
  await thawed.goAndExpectOk();
});

testWith([], 'the process that traces is killed, too, and the target lives on', async (t) => {
  t.timeout(600_000);
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('core.pie'), ['an argument', ''], { cwd });
  await original.ready();
  const begun = performance.now();
  await freeze(original.pid, image, [], { cwd });
  const whole = performance.now() - begun;
  for (let instant = 0; instant < 40; instant++) {
    const tool = spawn(process.execPath, [cli, String(original.pid), '-o', image, '-q'], { stdio: 'ignore' });
    const ended = once(tool, 'close');
    await pause(whole * (0.3 + (0.5 * instant) / 40));
    for (const pid of childrenOf(tool.pid ?? 0)) killByPid(pid);
    tool.kill('SIGKILL');
    await ended;
    await untilLeftAlone(original);
  }
  // What the last one left behind, the next attach removes.
  await freeze(original.pid, image, [], { cwd });
  await t.notThrowsAsync(original.goAndExpectOk());
});

testWith([], 'no image is kept of a process that was let go before it was whole', async (t) => {
  const cwd = scratch(t);
  const guarded = start(t, target('guard'), [], { cwd });
  await guarded.ready();
  const isTracer = (pid: number) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'proc2elf-tracer\n';
  const onProgress = (done: number, total: number): void => {
    if (done === total) childrenOf(process.pid).filter(isTracer).forEach(killByPid);
  };
  const output = join(cwd, 'frozen.bin');
  await t.throwsAsync(freezeHere(guarded.pid, { output, after: 'stop', onProgress }), {
    message: /tracer/,
  });
  t.deepEqual(readdirSync(cwd), []);
  await untilLeftAlone(guarded);
  // What a tracer leaves behind that is killed, the next attach removes.
  await freezeHere(guarded.pid, { output });
  await guarded.goAndExpectOk();
});

testWith(['mount', 'umount'], 'a full disk and a missing folder cost the target nothing', async (t) => {
  const cwd = scratch(t);
  const guarded = start(t, target('guard'), [], { cwd });
  await guarded.ready();
  const lost = await proc2elf([String(guarded.pid), '-o', join(cwd, 'nowhere', 'frozen.bin')], { cwd });
  t.is(lost.code, 1);
  t.regex(lost.stderr, /^proc2elf: [^\n]*nowhere[^\n]*\n$/);
  const small = join(cwd, 'small');
  mkdirSync(small);
  const mount = await new Promise<number | null>((resolve) =>
    spawn('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', small], { stdio: 'ignore' }).on(
      'close',
      resolve,
    ),
  );
  if (mount === 0) {
    t.teardown(() => new Promise((resolve) => spawn('umount', [small]).on('close', resolve)));
    const full = await proc2elf([String(guarded.pid), '-o', join(small, 'frozen.bin')], { cwd });
    t.is(full.code, 1);
    t.regex(full.stderr, /^proc2elf: [^\n]*(ENOSPC|no space)[^\n]*\n$/i);
    t.deepEqual(readdirSync(small), []);
  } else {
    t.log('left out: no file system can be mounted here');
  }
  await guarded.goAndExpectOk();
});

/** Done, or one message that says why not. */
function expectClean(t: ExecutionContext<unknown>, what: string, { code, stderr }: Outcome): void {
  t.true(code === 0 || code === 1, `${what}: ${code} ${stderr}`);
  if (code === 1) t.regex(stderr, /^proc2elf: [\s\S]+\n$/, what);
  t.notRegex(stderr, /^\s+at /m, 'no stack trace');
}

for (const mode of ['threads', 'forks']) {
  testWith([], `a target with ever new ${mode} gives a clean result and works on`, async (t) => {
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    const restless = start(t, target('restless'), [mode], { cwd });
    await restless.ready();
    let frozen = false;
    for (let round = 0; round < 5; round++) {
      const outcome = await proc2elf([String(restless.pid), '-o', image, '-q'], { cwd });
      expectClean(t, mode, outcome);
      frozen ||= outcome.code === 0;
    }
    await restless.goAndExpectOk();
    if (frozen) await start(t, image, [], { cwd }).goAndExpectOk();
    else t.log(`a target with ever new ${mode} was refused each time`);
  });
}

for (const mode of ['execs', 'ends']) {
  testWith([], `a target that ${mode} meanwhile gives a clean result`, async (t) => {
    const cwd = scratch(t);
    for (let round = 0; round < 5; round++) {
      const restless = start(t, target('restless'), [mode], { cwd });
      await restless.ready();
      const args = [String(restless.pid), '-o', join(cwd, 'frozen.bin'), '-q'];
      expectClean(t, mode, await proc2elf(args, { cwd }));
      await restless.end();
    }
  });
}
