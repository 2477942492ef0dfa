/** What cannot be done is said in one clear line, with the right exit code, and nothing is lost. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { leaveOut, testWith } from './harness/needs.js';
import { cli, target } from './harness/paths.js';
import { asUser } from './harness/round-trip.js';
import { type Running, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, type Outcome, proc2elf, run } from './harness/tool.js';

const isRoot = process.getuid?.() === 0;

function refused(
  t: ExecutionContext<unknown>,
  outcome: Outcome,
  code: number,
  says: RegExp,
  what: string,
): void {
  t.is(outcome.code, code, `${what}: ${outcome.stderr}${outcome.stdout.slice(0, 300)}`);
  t.regex(outcome.stderr, says, what);
  t.notRegex(outcome.stderr, /^\s+at |node:internal/m, `${what}: no stack trace`);
}

async function victim(t: ExecutionContext<unknown>, cwd: string): Promise<Running> {
  const running = start(t, target('answer'), [], { cwd });
  await running.ready();
  return running;
}

testWith([], 'processes that cannot be frozen', async (t) => {
  const cwd = scratch(t);
  const out = ['-o', 'frozen.bin'];
  // The shell becomes a program that does not wait for its child.
  const zombie = start(t, 'sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 100'], { cwd });
  const zombiePid = await zombie.line();
  while (!/\) Z /.test(readFileSync(`/proc/${zombiePid}/stat`, 'utf8'))) await pause(10);
  const table: [string, readonly string[], number, RegExp][] = [
    ['no such process', ['4194303'], 1, /^proc2elf: [^\n]*4194303[^\n]*\n$/],
    ['not a number', ['abc'], 2, /abc/],
    ['no pid', [], 2, /pid|arguments/i],
    ['process 1', ['1'], 1, /^proc2elf: [^\n]+\n$/],
    ['a kernel thread', ['2'], 1, /^proc2elf: [^\n]*kernel thread[^\n]*\n$/],
    ['a zombie', [zombiePid], 1, /^proc2elf: [^\n]*(zombie|ended)[^\n]*\n$/],
    ['an unknown option', [String(process.pid), '--nonsense'], 2, /nonsense/],
  ];
  for (const [what, args, code, says] of table) {
    refused(t, await proc2elf([...args, ...(args.length > 0 ? out : [])], { cwd }), code, says, what);
  }
  t.throws(() => readFileSync(join(cwd, 'frozen.bin')), { code: 'ENOENT' });
});

testWith([], 'command lines that make no sense', async (t) => {
  const cwd = scratch(t);
  const own = String(process.pid);
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [['--foo', own], /Unknown argument: foo/],
    [[], /which process\?/],
    [['freeze'], /which process\?/],
    [['0'], /"0" is not a process id/],
    [['-1'], /"-1" is not a process id/],
    [['abc', '--json'], /"abc" is not a process id/],
    [['99999999999'], /"99999999999" is not a process id/],
    [[own, own], /Unknown argument: \d+/],
    [[own, '-o'], /Not enough arguments following: o/],
    [[own, '-o', 'a', '-o', 'b'], /-o is given more than once/],
    [[own, '--files', 'all'], /--files all: say --files reopen or --files embed \(/],
    [[own, '--files', 'embed', '--files', 'reopen'], /--files is given more than once/],
    [[own, '-o', ''], /name a file/],
    [[own, '--drop-fd', 'x'], /--drop-fd x/],
    [[own, '--kill', '--stop'], /exclusive/],
    [['check', 'abc'], /"abc" is not a process id/],
    [['inspect'], /which image\?/],
    [['inspect', '--foo', 'frozen.bin'], /Unknown argument: foo/],
    [['inspect', 'a', 'b'], /Unknown argument: b/],
  ];
  for (const [args, says] of table) {
    const outcome = await proc2elf(args, { cwd });
    const what = args.join(' ');
    refused(t, outcome, 2, says, what);
    t.regex(outcome.stderr, /^proc2elf: [^\n]+ \(proc2elf --help tells more\)\n$/, what);
    t.is(outcome.stdout, '', what);
  }
  t.deepEqual(readdirSync(cwd), []);
});

testWith(
  [],
  'an image that cannot thaw says so in one line, whatever becomes of its process id',
  async (t) => {
    const cwd = scratch(t);
    const running = await victim(t, cwd); // its id is taken as long as it runs
    const image = join(cwd, 'frozen.bin');
    await freeze(running.pid, image, [], { cwd });
    const other = ['rewrite', image, '-o', join(cwd, 'other.bin'), '--cwd', join(cwd, 'nowhere')];
    t.is((await proc2elf(other, { cwd })).code, 0);
    const outcome = await run(join(cwd, 'other.bin'), [], { cwd });
    t.is(outcome.code, 125);
    t.regex(outcome.stderr, /^other\.bin: cannot enter the working directory [^\n]*nowhere: ENOENT\n$/);
    await running.goAndExpectOk();
  },
);

testWith(['sh'], 'the tool does not freeze itself', async (t) => {
  const cwd = scratch(t);
  const outcome = await run('sh', ['-c', `exec "${process.execPath}" "${cli}" $$ -o frozen.bin`], {
    cwd,
  });
  refused(t, outcome, 1, /^proc2elf: [^\n]+\n$/, 'own pid');
});

testWith(['strace'], 'a process that is traced already', async (t) => {
  const cwd = scratch(t);
  const running = await victim(t, cwd);
  const strace = start(t, 'strace', ['-p', String(running.pid), '-o', '/dev/null'], { cwd });
  while (!/^TracerPid:\t[1-9]/m.test(readFileSync(`/proc/${running.pid}/status`, 'utf8'))) {
    await pause(10);
  }
  const outcome = await proc2elf([String(running.pid), '-o', 'frozen.bin'], { cwd });
  refused(t, outcome, 1, /^proc2elf: [^\n]*traced[^\n]*\n$/, 'traced');
  await strace.end();
  await running.goAndExpectOk();
});

testWith(['setpriv'], 'a process of another user', async (t) => {
  if (!isRoot) return leaveOut(t, 'needs root');
  const cwd = scratch(t);
  chownSync(cwd, 65534, 65534);
  const running = await victim(t, cwd);
  const outcome = await proc2elf([String(running.pid), '-o', 'frozen.bin'], { cwd }, asUser(65534));
  refused(t, outcome, 1, /^proc2elf: [^\n]*(permi|EPERM|EACCES|user)[^\n]*\n$/i, 'other user');
  await running.goAndExpectOk();
});

testWith([], 'a 32-bit process is refused by name', async (t) => {
  const cwd = scratch(t);
  const running = start(t, target('pause32'), [], { cwd });
  if ((await running.line().catch(() => '')) !== 'ready') {
    t.log('this kernel runs no 32-bit programs');
    t.pass();
    return;
  }
  const outcome = await proc2elf([String(running.pid), '-o', 'frozen.bin'], { cwd });
  refused(t, outcome, 1, /^proc2elf: [^\n]*32-bit[^\n]*\n$/, '32-bit');
});

testWith([], 'outputs that cannot be written', async (t) => {
  const cwd = scratch(t);
  const running = await victim(t, cwd);
  mkdirSync(join(cwd, 'folder'));
  const outputs: [string, RegExp][] = [
    ['folder', /directory|folder|EISDIR/i],
    ['nowhere/frozen.bin', /nowhere/],
    ['/proc/frozen.bin', /\/proc/],
  ];
  for (const [output, says] of outputs) {
    const outcome = await proc2elf([String(running.pid), '-o', output], { cwd });
    t.true(outcome.code === 1 || outcome.code === 2, output);
    refused(t, outcome, outcome.code ?? -1, says, output);
  }
  await running.goAndExpectOk();
});

testWith(['mount', 'umount'], 'an output folder from which nothing can be run', async (t) => {
  const cwd = scratch(t);
  const folder = join(cwd, 'noexec');
  mkdirSync(folder);
  if ((await run('mount', ['-t', 'tmpfs', '-o', 'noexec', 'none', folder], { cwd })).code !== 0) {
    return leaveOut(t, 'no file system can be mounted here');
  }
  t.teardown(() => new Promise((resolve) => spawn('umount', [folder]).on('close', resolve)));
  const running = await victim(t, cwd);
  const { stdout, stderr } = await proc2elf([String(running.pid), '-o', join(folder, 'frozen.bin')], { cwd });
  t.regex(stdout + stderr, /noexec/);
  await running.goAndExpectOk();
});

testWith(['sh'], 'names cannot give orders to the terminal', async (t) => {
  const cwd = scratch(t);
  const evil = 'a\x1b[2J\nb';
  const safe = 'a\\x1b[2J\\x0ab';
  const missing = await proc2elf(['inspect', evil], { cwd });
  t.is(missing.stderr, `proc2elf: cannot read ${safe}: ENOENT (there is no such file)\n`);
  // A process takes its name from its file.
  copyFileSync(target('answer'), join(cwd, evil));
  const parent = start(t, 'sh', ['-c', 'exec 3<&0; "./$1" <&3 3<&- & exec 3<&-; wait', 'sh', evil], { cwd });
  await parent.ready();
  const checked = await proc2elf(['check', String(parent.pid)], { cwd });
  t.true(checked.stdout.includes(`(${safe})`), checked.stdout);
  t.false(checked.stdout.includes('\x1b'));
  const frozen = await proc2elf([String(parent.pid), '-o', 'frozen.bin'], { cwd });
  refused(t, frozen, 1, /^proc2elf: [^\n]*\(a\\x1b\[2J\\x0ab\)[^\n]*\n$/, 'a child with a name');
  const written = await proc2elf([String(parent.pid), '-o', evil, '--drop-children'], { cwd });
  t.is(written.code, 0, written.stderr);
  t.true(written.stdout.includes(`${safe} (`), written.stdout);
});

testWith([], 'files that are no images', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const running = await victim(t, cwd);
  await freeze(running.pid, image, ['--kill'], { cwd });
  const whole = readFileSync(image);
  copyFileSync(image, join(cwd, 'truncated'));
  truncateSync(join(cwd, 'truncated'), 5000);
  writeFileSync(join(cwd, 'empty'), '');
  writeFileSync(join(cwd, 'text'), 'not an image\n'.repeat(100));
  for (const name of ['truncated', 'empty', 'text', 'missing', '/bin/sh']) {
    refused(t, await proc2elf(['inspect', name], { cwd }), 1, /^proc2elf: [^\n]+\n$/, name);
  }
  // One bit at a time, all over the headers and notes: a message or a listing, never a crash.
  const flipped = join(cwd, 'flipped');
  for (let round = 0; round < 12; round++) {
    const at = round < 6 ? 4 + round * 10 : Math.floor((whole.length * (round - 5)) / 7);
    copyFileSync(image, flipped);
    const file = openSync(flipped, 'r+');
    writeSync(file, Buffer.from([(whole[at] ?? 0) ^ (1 << (round % 8))]), 0, 1, at);
    const outcome = await proc2elf(['inspect', flipped], { cwd });
    t.true(outcome.code === 0 || outcome.code === 1, `byte ${at}: ${outcome.code} ${outcome.stderr}`);
    t.notRegex(outcome.stderr, /^\s+at /m, `byte ${at}: no stack trace`);
  }
});

testWith(['sh'], 'machines on which an image cannot thaw', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('descriptors'), [], { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();
  const line = /^frozen\.bin: [^\n]+\n$/;
  const limited = await run('sh', ['-c', 'ulimit -v 3000; exec ./frozen.bin'], { cwd });
  t.true(limited.code === 125 || limited.code === null || limited.code > 128, `RLIMIT_AS: ${limited.code}`);
  const log = readFileSync(join(cwd, 'log'));
  truncateSync(join(cwd, 'file'), 1);
  refused(t, await run(image, [], { cwd }), 125, /^frozen\.bin: [^\n]*file[^\n]*\n$/, 'file too short');
  truncateSync(join(cwd, 'file'), 200);
  unlinkSync(join(cwd, 'log'));
  const missing = await run(image, [], { cwd });
  refused(t, missing, 125, /^frozen\.bin: [^\n]*log[^\n]*descriptor[^\n]*ENOENT[^\n]*\n$/, 'missing file');
  refused(t, await run(image, ['--check'], { cwd }), 125, /log[^\n]*ENOENT/, '--check of a missing file');
  writeFileSync(join(cwd, 'log'), log);
  if (isRoot) return;
  chmodSync(join(cwd, 'log'), 0);
  refused(t, await run(image, [], { cwd }), 125, line, 'forbidden file');
});

testWith([], 'descriptors that cannot be carried, and letting go of them', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const running = start(t, 'sh', ['-c', 'exec 7<.; echo ready; read line; echo ok'], { cwd });
  await running.ready();
  await freeze(running.pid, image, ['--drop-fd', '7'], { cwd });
  await running.goAndExpectOk();
  await start(t, image, [], { cwd }).goAndExpectOk();

  const python = [
    '-c',
    'import socket,sys\ns = socket.socket(socket.AF_UNIX)\ns.connect("outside")\nprint("ready", flush=True)\nsys.stdin.readline()\nprint("ok")',
  ];
  const outside = createServer().listen(join(cwd, 'outside'));
  t.teardown(() => outside.close());
  await once(outside, 'listening');
  const connected = start(t, 'python3', python, { cwd });
  await connected.ready();
  const outcome = await proc2elf([String(connected.pid), '-o', image], { cwd });
  refused(t, outcome, 1, /^proc2elf: descriptor 3 \([^\n]*socket[^\n]*--drop-fd 3[^\n]*\n$/, 'a socket');
  await freeze(connected.pid, image, ['--drop-fd', '3'], { cwd });
  await connected.goAndExpectOk();
  await start(t, image, [], { cwd }).goAndExpectOk();
});

testWith(['sh', 'node'], 'the current folder is gone', async (t) => {
  const cwd = scratch(t);
  const outcome = await run('sh', ['-c', `mkdir d && cd d && rmdir ../d && exec node ${cli} --help`], {
    cwd,
  });
  refused(t, outcome, 1, /^proc2elf: cannot tell the current folder: ENOENT \([^\n]+\)\n$/, 'no folder');
});

testWith([], 'who waits for a thawed process is not frozen in its stead', async (t) => {
  if (!isRoot) return leaveOut(t, 'only root can take an old process id');
  const cwd = scratch(t);
  const original = await victim(t, cwd);
  await freeze(original.pid, 'frozen.bin', ['--kill'], { cwd });
  await original.ending();
  const starter = start(t, './frozen.bin', [], { cwd });
  starter.send('\n');
  await starter.line();
  for (const options of [[], ['--drop-children']]) {
    const outcome = await proc2elf([String(starter.pid), '-o', 'other.bin', ...options], { cwd });
    const says = new RegExp(`waits for the process that it has become: freeze process ${original.pid} `);
    refused(t, outcome, 1, says, options.join());
  }
});
