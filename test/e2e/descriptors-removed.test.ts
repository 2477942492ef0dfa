/** Directories and FIFOs that were deleted are made again without a name, and nothing stays behind of that. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

const command = target('removed');

testWith([], 'directories and FIFOs that were deleted', (t) => roundTrip(t, { command, generations: 2 }));

testWith([], 'the same in a folder of the user', async (t) => {
  const folder = scratch(t);
  await roundTrip(t, { command, thaw: ['--scratch', folder] });
  t.deepEqual(readdirSync(folder), []);
});

testWith([], 'the same of an ordinary user', (t) =>
  process.getuid?.() === 0
    ? roundTrip(t, { command, uid: 65534, stderr: /^([^\n]+\n)?$/ })
    : Promise.resolve(leaveOut(t, 'only root can become another user')),
);

testWith(['mkdir'], 'a thaw that fails leaves nothing there', async (t) => {
  const cwd = scratch(t);
  const folder = scratch(t);
  writeFileSync(join(cwd, 'input'), '');
  const original = start(t, command, [], { cwd });
  await original.ready();
  await freeze(original.pid, 'frozen.bin', ['--fd', '3=input'], { cwd });
  const image = join(cwd, 'frozen.bin');
  const thaw = (...options: string[]) => run(image, ['--pid=new', ...options], { cwd });
  t.is((await thaw('--check', '--scratch', folder)).code, 0);
  await run('rm', ['input'], { cwd });
  t.is((await thaw('--scratch', folder)).code, 125);
  t.deepEqual(readdirSync(folder), []);
  const missing = await thaw('--scratch', join(cwd, 'input'));
  t.is(missing.code, 125);
  t.regex(missing.stderr, /cannot use the folder of --scratch/);
  await original.goAndExpectOk();
});

testWith([], 'a deleted working directory has another in its place by choice', async (t) => {
  const cwd = scratch(t);
  const original = start(t, command, [], { cwd });
  await original.ready();
  await freeze(original.pid, 'frozen.bin', ['--cwd', cwd], { cwd });
  await freeze(original.pid, 'removed.bin', [], { cwd });
  const rewritten = await proc2elf(['rewrite', 'removed.bin', '-o', 'other.bin', '--cwd', cwd], { cwd });
  t.is(rewritten.code, 0, rewritten.stderr);
  for (const [image, there] of [
    ['frozen.bin', true],
    ['other.bin', true],
    ['removed.bin', false],
  ] as const) {
    const { stdout } = await proc2elf(['inspect', image, '--program'], { cwd });
    t.is(stdout.includes(`chdir("${cwd}")`), there, image);
    t.is(/fchdir\(/.test(stdout), !there, image);
  }
  await original.goAndExpectOk();
});

testWith(['python3'], 'a directory that nothing means any more is not made', async (t) => {
  const cwd = scratch(t);
  const code = `import os, signal; os.mkdir("here"); os.chdir("here"); os.rmdir("../here"); print("ready", flush=True); signal.pause()`;
  const original = start(t, 'python3', ['-c', code], { cwd });
  await original.ready();
  await freeze(original.pid, 'frozen.bin', [], { cwd });
  await proc2elf(['rewrite', 'frozen.bin', '-o', 'other.bin', '--cwd', '/'], { cwd });
  const programOf = async (image: string) =>
    (await proc2elf(['inspect', image, '--program'], { cwd })).stdout;
  t.regex(await programOf('frozen.bin'), /mkdirat/);
  t.notRegex(await programOf('other.bin'), /mkdirat|faccessat/);
  await original.end();
});

testWith(['python3'], 'one whose .. leads nowhere any more is refused', async (t) => {
  const cwd = scratch(t);
  const code = `import os, signal; os.makedirs("a/b"); fd = os.open("a/b", os.O_RDONLY); os.chdir("a/b"); os.rmdir("../b"); os.rmdir("../../a"); print("ready", flush=True); signal.pause()`;
  const original = start(t, 'python3', ['-c', code], { cwd });
  await original.ready();
  const { code: status, stderr } = await proc2elf([String(original.pid), '-o', 'x.bin', '-q'], { cwd });
  t.is(status, 1);
  t.regex(stderr, /working directory that is gone.*--cwd DIR/);
  const other = await proc2elf([String(original.pid), '-o', 'x.bin', '-q', '--cwd', '/'], { cwd });
  t.is(other.code, 1);
  t.regex(other.stderr, /descriptor 3 \(deleted directory.*the directory above it/);
});

testWith(['unshare', 'mount'], 'they are made in the first place where they can be', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'only root can make places read-only');
  const cwd = scratch(t);
  const original = start(t, command, [], { cwd });
  await original.ready();
  await freeze(original.pid, 'frozen.bin', [], { cwd });
  await original.goAndExpectOk();
  const without = (...places: string[]): [string, string[]] => {
    const close = places.map(
      (place) => `mount --bind ${place} ${place} && mount -o remount,bind,ro ${place}`,
    );
    const open = `mount --bind ${cwd} ${cwd} && mount -o remount,bind,rw ${cwd} && cd ${cwd}`;
    return ['unshare', ['-m', 'sh', '-c', [...close, open, 'exec "$@"'].join(' && '), 'sh', './frozen.bin']];
  };
  await start(t, ...without('/tmp'), { cwd }).goAndExpectOk();
  const [program, all] = without('/tmp', '/dev/shm', '/var/tmp');
  for (const options of [['--check'], ['--pid=new']]) {
    const { code, stderr } = await run(program, [...all, ...options], { cwd });
    t.is(code, 125, stderr);
    t.regex(stderr, /^frozen\.bin: cannot make [^\n]+\/fifo [^\n]*: [^\n]*EROFS[^\n]*\n/);
  }
});
