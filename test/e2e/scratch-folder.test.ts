/** `--scratch DIR`: files of the image are made in a folder, and nothing is left there, whatever happens. */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

/** What the target has open and mapped: `input` (13), `log` (12), `shared` (14) and `err` (2). */
const CHECKS = ['13 reads 3456789', '12 offset 5', '12 says 67', 'mapped mapped', 'follows', 'shows'];
const FILES = ['input', 'log', 'shared', 'err'];

/** An image that holds its files, which are gone, and an empty folder. */
async function frozen(t: ExecutionContext<unknown>) {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const folder = join(cwd, 'folder');
  mkdirSync(folder);
  writeFileSync(join(cwd, 'input'), '0123456789');
  const original = start(t, target('choices'), CHECKS, { cwd });
  await original.ready();
  const sockets = ['--fd', '10=null', '--fd', '11=null'];
  await freeze(original.pid, image, ['--kill', '--files', 'embed', ...sockets], { cwd });
  for (const name of FILES) rmSync(join(cwd, name));
  return { cwd, image, folder };
}

testWith([], 'embedded files lie in the folder, without a name', async (t) => {
  const { cwd, image, folder } = await frozen(t);
  for (const mode of ['--eager', '--lazy']) {
    // A relative path starts at the folder of whoever starts the image; no umask stands in the way.
    const command = ['-c', 'umask 777; cd /; exec "$@"', 'sh', image, '--pid=new', mode, '--scratch'];
    const thawed = start(t, 'sh', [...command, folder.slice(1)], { cwd });
    const link = (fd: number): string => {
      try {
        return readlinkSync(`/proc/${thawed.pid}/fd/${fd}`);
      } catch {
        return '';
      }
    };
    // Descriptor 2 gets its own file last of all.
    while (!link(2).startsWith(folder)) await pause(10);
    for (const fd of [12, 13, 14]) t.regex(link(fd).slice(folder.length), /^\/#\d+ \(deleted\)$/);
    await thawed.goAndExpectOk();
    t.deepEqual(readdirSync(folder), []);
  }
});

testWith(
  ['strace'],
  'where a file system knows no files without a name, the name is taken away',
  async (t) => {
    const { cwd, image, folder } = await frozen(t);
    // Such a file is asked for by the name of its folder alone.
    const log = join(cwd, 'calls');
    const inject = ['-o', log, '-P', '.', '-e', 'trace=openat', '-e', 'inject=openat:error=EOPNOTSUPP'];
    const thawed = start(t, 'strace', [...inject, image, '--pid=new', '--scratch', 'folder'], { cwd });
    await thawed.goAndExpectOk();
    t.is(readFileSync(log, 'utf8').match(/ EOPNOTSUPP .*INJECTED/g)?.length, FILES.length);
    t.deepEqual(readdirSync(folder), []);
  },
);

testWith([], 'a folder that cannot be used is refused', async (t) => {
  const { cwd, image } = await frozen(t);
  writeFileSync(join(cwd, 'file'), '');
  for (const [name, errno] of [
    ['nowhere', 'ENOENT'],
    ['file', 'ENOTDIR'],
  ] as const) {
    for (const options of [[], ['--check']]) {
      const outcome = await run(image, ['--pid=new', ...options, '--scratch', name], { cwd });
      t.is(outcome.code, 125, name);
      t.regex(outcome.stderr, new RegExp(`^frozen\\.bin: cannot use the folder of --scratch: ${errno}\n$`));
      t.is(outcome.stdout, '');
    }
  }
  const usage = await run(image, ['--scratch'], { cwd });
  t.is(usage.code, 2);
  t.regex(usage.stderr, /^frozen\.bin: nothing follows --scratch\nusage: /);
});

testWith(['mount', 'umount'], 'a folder without room is refused', async (t) => {
  const { cwd, image, folder } = await frozen(t);
  const options = 'size=4k,mode=777';
  if ((await run('mount', ['-t', 'tmpfs', '-o', options, 'none', folder], { cwd })).code !== 0) {
    return leaveOut(t, 'no file system can be mounted here');
  }
  t.teardown(() => new Promise((resolve) => spawn('umount', [folder]).on('close', resolve)));
  const before = readdirSync(cwd);
  const outcome = await run(image, ['--pid=new', '--scratch', folder], { cwd });
  t.is(outcome.code, 125, outcome.stderr);
  t.regex(
    outcome.stderr,
    /^frozen\.bin: cannot make a file for \/[^\n]* in the folder of --scratch: (ENOSPC|there is not enough room)[^\n]*\n$/,
  );
  t.is(outcome.stdout, '');
  t.deepEqual(readdirSync(folder), []);
  t.deepEqual(readdirSync(cwd), before);
});
