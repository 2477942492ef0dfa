/** Resource limits: those of the frozen program come back, and too small ones of whoever thaws are named. */
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { asUser, nobody } from './harness/round-trip.js';
import { type Running, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, type Outcome, run } from './harness/tool.js';

const isRoot = process.getuid?.() === 0;
/** What makes an ordinary user of whoever runs the tests. */
const ordinary = isRoot ? asUser(nobody) : [];
const MIB = 1 << 20;
const ok = /^ok\n$/;

/** Freezes a program as an ordinary user and ends it. @returns the image and its folder */
async function frozen(
  t: ExecutionContext<unknown>,
  command: readonly string[],
): Promise<{ cwd: string; image: string }> {
  const cwd = scratch(t);
  if (isRoot) chownSync(cwd, nobody, nobody);
  const image = join(cwd, 'frozen.bin');
  const [program, ...args] = [...ordinary, ...command];
  const original = start(t, program as string, args, { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd }, ordinary);
  await original.ending();
  return { cwd, image };
}

/** Starts an image as an ordinary user under limits of prlimit(1): `--nofile=50:50`. */
function thaw(
  t: ExecutionContext<unknown>,
  { cwd, image }: { cwd: string; image: string },
  limits: readonly string[],
  options: readonly string[] = ['--pid=new'],
): Running {
  const [program, ...args] = [...ordinary, 'prlimit', ...limits, image, ...options];
  return start(t, program as string, args, { cwd });
}

/** Expects an image to say in one line why it cannot be thawed, and to leave everything as it was. */
async function refuses(t: ExecutionContext<unknown>, running: Running, says: RegExp): Promise<void> {
  const { code } = await running.ending();
  t.is(code, 125, running.stderr);
  t.regex(running.stderr, says);
  t.is(running.stdout, '');
}

/** Expects a program to end well, without a word on standard error. */
async function works(t: ExecutionContext<unknown>, running: Running): Promise<void> {
  await running.goAndExpectOk();
  t.is(running.stderr, '');
}

const needs = ['prlimit', 'setpriv'] as const;

testWith(needs, 'soft limits of whoever thaws do not matter: the frozen ones come back', async (t) => {
  const places = await frozen(t, [target('limits'), 'stack']);
  const soft = ['stack=65536', 'data=600000', 'as=8000000', 'nofile=50', 'fsize=0', 'memlock=0', 'core=0'];
  for (const limit of soft) {
    await works(t, thaw(t, places, [`--${limit}:`]));
  }
});

testWith(needs, 'a stack that could not grow as it could is refused', async (t) => {
  const places = await frozen(t, ['prlimit', `--stack=${8 * MIB}`, target('limits'), 'stack']);
  const line = /^frozen\.bin: [^\n]*RLIMIT_STACK[^\n]*8388608[^\n]*hard limit[^\n]*\n$/;
  await refuses(t, thaw(t, places, [`--stack=${MIB}`]), line);
  await refuses(t, thaw(t, places, [`--stack=${MIB}`], ['--check']), line);
  await works(t, thaw(t, places, [`--stack=${8 * MIB}`]));
});

testWith(needs, 'too few descriptors are refused, unless the program had no more', async (t) => {
  const line = /^frozen\.bin: [^\n]*RLIMIT_NOFILE[^\n]*hard limit[^\n]*\n$/;
  await refuses(t, thaw(t, await frozen(t, [target('limits')]), ['--nofile=50']), line);
  const few = await frozen(t, ['prlimit', '--nofile=50', target('limits')]);
  await works(t, thaw(t, few, ['--nofile=50']));
});

testWith(needs, 'locked memory and threads beyond a hard limit are refused by name', async (t) => {
  const locked = await frozen(t, [target('limits'), 'locked']);
  await refuses(
    t,
    thaw(t, locked, ['--memlock=65536']),
    /^frozen\.bin: cannot lock [^\n]*RLIMIT_MEMLOCK[^\n]*\n$/,
  );
  const threads = await frozen(t, [target('threads'), '5']);
  await refuses(t, thaw(t, threads, ['--nproc=1']), /^frozen\.bin: cannot start thread [^\n]*EAGAIN\n$/);
  await refuses(
    t,
    thaw(t, threads, ['--nproc=1'], []),
    /^frozen\.bin: cannot take process id [^\n]*EAGAIN\n$/,
  );
});

testWith(needs, 'a program at the limit of its memory is thawed at that limit', async (t) => {
  await works(t, thaw(t, await frozen(t, [target('limits'), 'tight']), ['--core=0:']));
});

/**
 * Sizes from too small to enough. Below what the segments take, the kernel ends the program before it has
 * begun; above that, every size gives either a line or a program that works, and --check knows which.
 */
for (const [limit, name] of [
  ['as', 'address space'],
  ['data', 'data'],
] as const) {
  testWith(needs, `any hard limit on ${name}: a line, or a program that works`, async (t) => {
    const places = await frozen(t, [target('limits')]);
    const found = new Set<string>();
    for (let size = 1 << 16; !found.has('works'); size = Math.ceil((size * 1.15) / 4096) * 4096) {
      for (const way of ['--eager', '--lazy']) {
        const outcome = await check(places, [...ordinary, 'prlimit', `--${limit}=${size}`], way);
        const thawed = thaw(t, places, [`--${limit}=${size}`], ['--pid=new', way]);
        thawed.send('go\n');
        const { code, signal } = await thawed.ending();
        const what = `${limit} ${size} ${way}: ${code} ${signal} ${thawed.stderr}${outcome.stderr}`;
        if (signal !== null) {
          found.add('ended by the kernel');
          t.true(signal === 'SIGSEGV' || signal === 'SIGKILL', what);
          t.is(thawed.stdout + thawed.stderr, '', what);
        } else if (code === 125) {
          found.add('refused');
          t.regex(thawed.stderr, /^frozen\.bin: cannot [^\n]*: ENOMEM\n$/, what);
          t.is(thawed.stdout, '', what);
          t.is(outcome.code, 125, what);
        } else {
          found.add('works');
          t.regex(thawed.stdout, ok, what);
          t.is(outcome.code, 0, what);
        }
      }
    }
    t.deepEqual([...found], ['ended by the kernel', 'refused', 'works']);
  });
}

function check(
  places: { cwd: string; image: string },
  before: readonly string[],
  way: string,
): Promise<Outcome> {
  return run(before[0] as string, [...before.slice(1), places.image, way, '--check'], { cwd: places.cwd });
}
