/** Surroundings in which something is missing: `/proc`, files, the permission for them. */
import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { leaveOut, testWith } from './harness/needs.js';
import { cli, target } from './harness/paths.js';
import { asUser, nobody } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, type Outcome, run } from './harness/tool.js';

const isRoot = process.getuid?.() === 0;

/** Freezes a program in a folder of its own and ends it. @returns the folder, with `frozen.bin` */
async function frozen(t: ExecutionContext<unknown>, program: string): Promise<string> {
  const cwd = scratch(t);
  const original = start(t, target(program), [], { cwd });
  await original.ready();
  await freeze(original.pid, join(cwd, 'frozen.bin'), ['--kill'], { cwd });
  await original.ending();
  return cwd;
}

function saysInOneLine(t: ExecutionContext<unknown>, outcome: Outcome, code: number, says: RegExp): void {
  t.is(outcome.code, code, outcome.stderr);
  t.regex(outcome.stderr, /^[^\n]+\n$/);
  t.regex(outcome.stderr, says);
  t.is(outcome.stdout, '');
}

/** A command line that runs another one where `/proc` is not mounted. */
const withoutProc = ['unshare', '-m', 'sh', '-c', 'umount -l /proc && exec "$@"', 'sh'] as const;

async function canUnmount(t: ExecutionContext<unknown>): Promise<boolean> {
  const [command, ...args] = withoutProc;
  if ((await run(command, [...args, 'true'], { cwd: '/' })).code === 0) return true;
  leaveOut(t, 'needs to unmount /proc');
  return false;
}

testWith(['unshare', 'umount'], 'without /proc nothing can be frozen, and that is said', async (t) => {
  if (!(await canUnmount(t))) return;
  const cwd = scratch(t);
  const running = start(t, target('answer'), [], { cwd });
  await running.ready();
  const [command, ...args] = withoutProc;
  const pid = String(running.pid);
  for (const line of [
    [pid, '-o', 'frozen.bin'],
    ['check', pid],
  ]) {
    const outcome = await run(command, [...args, process.execPath, cli, ...line], { cwd });
    saysInOneLine(t, outcome, 1, /^proc2elf: [^\n]*\/proc is not mounted/);
  }
  const machine = await run(command, [...args, process.execPath, cli, 'check'], { cwd });
  t.is(machine.stderr, '');
  t.regex(machine.stdout, /^no {3}\/proc: nothing can be frozen/m);
  t.deepEqual(readdirSync(cwd), []);
  await running.goAndExpectOk();
});

testWith(['unshare', 'umount'], 'an image needs no /proc', async (t) => {
  if (!(await canUnmount(t))) return;
  const cwd = await frozen(t, 'answer');
  const [command, ...args] = withoutProc;
  for (const options of [['--eager'], ['--lazy'], ['--pid=new']]) {
    const thawed = start(t, command, [...args, './frozen.bin', ...options], { cwd });
    thawed.send('next\n');
    t.is(await thawed.line(), '1', options.join());
    await thawed.goAndExpectOk();
  }
});

testWith(['chroot'], 'in a root directory without its files an image names what is missing', async (t) => {
  if (!isRoot) return leaveOut(t, 'needs root');
  const cwd = await frozen(t, 'answer');
  saysInOneLine(
    t,
    await run('chroot', [cwd, '/frozen.bin', '--pid=new'], { cwd: '/' }),
    125,
    /^frozen\.bin: cannot enter the working directory [^\n]*ENOENT/,
  );
});

testWith(['setpriv'], 'a user who may not use the files is told which, and nothing changes', async (t) => {
  if (!isRoot) return leaveOut(t, 'needs root');
  const cwd = await frozen(t, 'descriptors');
  const image = join(cwd, 'frozen.bin');
  const [command, ...args] = asUser(nobody) as [string, ...string[]];
  const before = readdirSync(cwd);
  const attempt = (...options: string[]) =>
    run(command, [...args, image, '--pid=new', ...options], { cwd: '/' });
  chmodSync(cwd, 0o755);
  chmodSync(image, 0o711);
  saysInOneLine(t, await attempt(), 125, /^frozen\.bin: cannot open the image[^\n]*EACCES/);
  chmodSync(image, 0o755);
  const outcome = await attempt();
  saysInOneLine(t, outcome, 125, /^frozen\.bin: cannot [^\n]*(log|file|fifo)[^\n]*EACCES/);
  t.true(outcome.stderr.includes(cwd), outcome.stderr);
  t.is((await attempt('--check')).code, 125);
  t.deepEqual(readdirSync(cwd), before);
});
