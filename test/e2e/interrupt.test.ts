/** Whoever interrupts a freeze finds everything as it was. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { testWith } from './harness/needs.js';
import { cli, target } from './harness/paths.js';
import { Running, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';

const TEMPORARY = /^\.frozen\.bin\.[0-9a-f]{16}\.tmp$/;

function status(pid: number, tid = pid): string {
  return readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
}

function threads(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) => status(pid, Number(tid)));
}

/** Starts a freeze that stands still where memory is about to be copied: the target is held, a temporary file is there. */
async function heldFreeze(
  t: ExecutionContext<unknown>,
  pid: number,
  cwd: string,
  options: readonly string[],
): Promise<Running> {
  const hold = new URL('./harness/hold-copy.js', import.meta.url).href;
  const args = ['--import', hold, cli, String(pid), '-o', join(cwd, 'frozen.bin'), ...options];
  const tool = new Running(process.execPath, args, { cwd });
  t.teardown(() => tool.end());
  const line = await tool.line();
  t.is(line, 'copying', tool.stderr);
  t.true(
    threads(pid).every((text) => !/^TracerPid:\t0$/m.test(text)),
    'it is held',
  );
  t.is(readdirSync(cwd).filter((name) => TEMPORARY.test(name)).length, 1);
  return tool;
}

testWith([], 'a signal leaves no file behind, and the target runs on', async (t) => {
  const cwd = scratch(t);
  const old = join(cwd, 'frozen.bin');
  writeFileSync(old, 'old');
  const guarded = start(t, target('guard'), [], { cwd });
  await guarded.ready();
  const table: readonly (readonly [NodeJS.Signals, readonly string[]])[] = [
    ['SIGINT', []],
    ['SIGTERM', ['--kill']],
    ['SIGHUP', ['--stop']],
    ['SIGINT', ['--kill']],
    ['SIGINT', ['--stop']],
  ];
  for (const [signal, options] of table) {
    const what = [signal, ...options].join(' ');
    const tool = await heldFreeze(t, guarded.pid, cwd, options);
    tool.signal(signal);
    tool.send('go on\n');
    t.is((await tool.ending()).signal, signal, `${what}: ${tool.stderr}`);
    t.regex(tool.stderr, new RegExp(`^proc2elf: interrupted by ${signal}: [^\\n]+\\n$`), what);
    t.is(tool.stdout, 'copying\n', what);
    t.deepEqual(readdirSync(cwd), ['frozen.bin'], what);
    t.is(readFileSync(old, 'utf8'), 'old', what);
    for (const text of threads(guarded.pid)) {
      t.regex(text, /^TracerPid:\t0$/m, what);
      t.notRegex(text, /^State:\t[tT]/m, what);
    }
  }
  await guarded.goAndExpectOk();
});

testWith([], 'a second signal ends the tool at once, and the target runs on', async (t) => {
  const cwd = scratch(t);
  const guarded = start(t, target('guard'), [], { cwd });
  await guarded.ready();
  const tool = await heldFreeze(t, guarded.pid, cwd, ['--kill']);
  tool.signal('SIGINT');
  while (catches(tool.pid, 2)) await pause(5);
  t.regex(status(guarded.pid), /^TracerPid:\t[1-9]/m, 'the first one waits for what is being done');
  tool.signal('SIGINT');
  t.is((await tool.ending()).signal, 'SIGINT');
  await guarded.goAndExpectOk();
});

/** Whether a process handles a signal. */
function catches(pid: number, signal: number): boolean {
  const set = /^SigCgt:\t([0-9a-f]+)$/m.exec(status(pid))?.[1];
  return (BigInt(`0x${set}`) & (1n << BigInt(signal - 1))) !== 0n;
}

testWith([], 'Ctrl-Z suspends the tool only when it holds nothing any more', async (t) => {
  const cwd = scratch(t);
  const guarded = start(t, target('guard'), [], { cwd });
  await guarded.ready();
  const tool = await heldFreeze(t, guarded.pid, cwd, ['-q']);
  tool.signal('SIGTSTP');
  tool.send('go on\n');
  // It ends, or, where a shell could wake it, it stops first; by then the target is let go.
  for (let ended = false; !ended; ) {
    const state = /^State:\t(\w)/m.exec(status(tool.pid))?.[1];
    if (state === 'T') {
      t.true(threads(guarded.pid).every((text) => /^TracerPid:\t0$/m.test(text)));
      tool.signal('SIGCONT');
    }
    ended = await Promise.race([tool.ending().then(() => true), pause(5, false)]);
  }
  t.deepEqual(await tool.ending(), { code: 0, signal: null }, tool.stderr);
  await guarded.goAndExpectOk();
});
