import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

/** An image of the target, which makes these checks, in a folder `a` of an empty one. */
async function frozen(
  t: ExecutionContext<unknown>,
  checks: (root: string) => readonly string[],
  options: readonly string[] = ['--fd', '10=null', '--fd', '11=null'],
) {
  const root = scratch(t);
  const cwd = join(root, 'a');
  mkdirSync(cwd);
  writeFileSync(join(cwd, 'input'), '0123456789');
  const env = { ...process.env, COLOUR: 'ultramarine', FLAVOUR: 'salt' };
  const original = start(t, target('choices'), checks(root), { cwd, env });
  await original.ready();
  const image = join(root, 'frozen.bin');
  await freeze(original.pid, image, ['--kill', ...options], { cwd });
  return { root, image, other: join(root, 'other.bin') };
}

async function rewrite(t: ExecutionContext<unknown>, cwd: string, options: readonly string[]) {
  const args = ['rewrite', 'frozen.bin', '-o', 'other.bin', ...options];
  const { code, stdout, stderr } = await proc2elf(args, { cwd });
  t.is(code, 0, stderr);
  t.regex(stdout, /^frozen\.bin rewritten into other\.bin \(.*\)\n$/);
}

testWith([], 'an image is rewritten for other paths, with another environment, and thaws', async (t) => {
  const where = await frozen(t, (root) => [
    '12 says 67',
    '13 reads DEF',
    `12 at ${root}/b/log`,
    `14 at ${root}/b/shared`,
    'mapped mapped',
    'follows',
    'env COLOUR sea green',
    'env FLAVOUR ',
    `cwd ${root}/b`,
    '10 closed',
    '11 null',
    '2 says to the stream',
  ]);
  const before = readFileSync(where.image);
  renameSync(join(where.root, 'a'), join(where.root, 'b'));
  writeFileSync(join(where.root, 'elsewhere'), 'ABCDEF');
  await rewrite(t, where.root, [
    ...['--path', 'a=b', '--file', 'a/input=elsewhere', '--fd', '2=inherit', '--fd', '10=drop'],
    ...['--env', 'COLOUR=sea green', '--env', 'FLAVOUR='],
  ]);
  t.true(before.equals(readFileSync(where.image)), 'the image is left alone');
  const { mode, blocks } = statSync(where.other);
  t.is(mode & 0o7777, 0o700);
  t.true(blocks <= statSync(where.image).blocks + 64, 'holes stay holes');
  t.deepEqual(readdirSync(where.root).sort(), ['b', 'elsewhere', 'frozen.bin', 'other.bin']);
  const checked = await run(where.other, ['--check'], { cwd: '/' });
  t.is(checked.code, 0, checked.stderr);
  const thawed = start(t, where.other, [], { cwd: '/' });
  await thawed.goAndExpectOk();
  t.is(thawed.stderr, 'to the stream');
  t.is(readFileSync(join(where.root, 'b/log'), 'utf8'), '1234567');
  t.is(readFileSync(join(where.root, 'b/shared'), 'utf8')[0], 'M');
});

testWith(['bash'], 'what is to be passed in, the directory, and the null device', async (t) => {
  const where = await frozen(t, () => [
    '10 reads passed in',
    '12 null',
    'cwd /',
    '13 reads 3456789',
    '11 null',
  ]);
  writeFileSync(join(where.root, 'passed'), 'passed in');
  await rewrite(t, where.root, ['--external', '10', '--fd', '12=null', '--cwd', '/']);
  const missing = await run(where.other, [], { cwd: where.root });
  t.is(missing.code, 125);
  t.regex(missing.stderr, /cannot take over descriptor 10, which /);
  const line = ['-c', 'exec "$0" "$@" 10<passed', where.other];
  for (const options of [[], ['--lazy', '--pid=new']]) {
    await start(t, 'bash', [...line, ...options], { cwd: where.root }).goAndExpectOk();
  }
});

testWith([], 'a rewritten image is rewritten again, and is the same without a change', async (t) => {
  const where = await frozen(t, () => ['env COLOUR red', '13 reads 3456789', 'mapped mapped', 'follows']);
  await rewrite(t, where.root, []);
  t.true(readFileSync(where.image).equals(readFileSync(where.other)));
  await rewrite(t, where.root, ['--env', 'COLOUR=blue']);
  renameSync(where.other, where.image);
  await rewrite(t, where.root, ['--env', 'COLOUR=red']);
  await start(t, where.other, [], { cwd: where.root }).goAndExpectOk();
});

testWith([], 'files are put into an image as they are now, and taken out again', async (t) => {
  const where = await frozen(t, () => [
    '12 says 67',
    '13 reads 3456789',
    'mapped mapped',
    'follows',
    'shows',
    '11 null',
  ]);
  await rewrite(t, where.root, ['--files', 'embed', '--cwd', '/']);
  const folder = join(where.root, 'a');
  renameSync(folder, join(where.root, 'b'));
  for (let copy = 0; copy < 2; copy++) await start(t, where.other, [], { cwd: '/' }).goAndExpectOk();
  t.is(readFileSync(join(where.root, 'b/log'), 'utf8'), '12345', 'each image has a copy of its own');
  renameSync(where.other, where.image);
  await rewrite(t, where.root, ['--files', 'reopen', '--path', 'a=b']);
  await start(t, where.other, [], { cwd: '/' }).goAndExpectOk();
  t.is(readFileSync(join(where.root, 'b/log'), 'utf8'), '1234567');
});

testWith([], 'a file that has changed since is not embedded', async (t) => {
  const where = await frozen(t, () => []);
  writeFileSync(join(where.root, 'a/input'), '012345678');
  const args = ['rewrite', 'frozen.bin', '-o', 'other.bin', '--file', 'a/input=embed'];
  const outcome = await proc2elf(args, { cwd: where.root });
  t.is(outcome.code, 1);
  t.regex(outcome.stderr, /^proc2elf: cannot embed .*\/a\/input: it has been modified since the freeze\n$/);
  t.deepEqual(readdirSync(where.root).sort(), ['a', 'frozen.bin']);
});

testWith([], 'what cannot be rewritten is refused by name, and nothing is written', async (t) => {
  const where = await frozen(t, () => []);
  for (const [options, code, line] of [
    [['--env', 'COLOUR=ultramarines'], 1, /--env COLOUR: the new value does not fit/],
    [['--env', 'SHAPE=round'], 1, /--env SHAPE: the process has no SHAPE/],
    [['--fd', '99=null'], 2, /--fd 99=\/dev\/null: the image has no descriptor 99/],
    [['--file', 'err=embed'], 2, /err: the image opens nothing at this path/],
    [['--path', 'a=b', '--file', 'a/input=embed'], 1, /cannot embed .*\/b\/input: ENOENT/],
    [['--file', 'missing=x'], 2, /missing: the image opens nothing at this path/],
    [['--path', 'missing=x'], 2, /missing: the image opens nothing below this path/],
    [['-o', 'frozen.bin'], 2, /given more than once/],
  ] as const) {
    const args = ['rewrite', 'frozen.bin', '-o', 'other.bin', ...options];
    const outcome = await proc2elf(args, { cwd: where.root });
    t.is(outcome.code, code, outcome.stderr);
    t.regex(outcome.stderr, line);
  }
  const itself = await proc2elf(['rewrite', 'frozen.bin', '-o', 'frozen.bin'], { cwd: where.root });
  t.is(itself.code, 2);
  t.regex(itself.stderr, /that is the image itself/);
  t.deepEqual(readdirSync(where.root).sort(), ['a', 'frozen.bin']);
});

testWith([], 'one end of a pair of sockets is let go of: the other finds it closed', async (t) => {
  const where = await frozen(t, () => ['10 null', '11 reads ', '12 offset 5'], []);
  await rewrite(t, where.root, ['--fd', '10=null']);
  await start(t, where.other, [], { cwd: where.root }).goAndExpectOk();
  const same = await frozen(t, () => ['10 null', '11 reads '], ['--fd', '10=null']);
  await start(t, same.image, [], { cwd: same.root }).goAndExpectOk();
  t.pass();
});
