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

/** Runs a Python program in an overlay of its own; `file` and `folder` are on its lower layer. */
const inOverlay = `import os, sys, subprocess
os.chdir(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "none", "."], check=True)
os.chdir(sys.argv[1])
for name in "lower", "lower/folder", "work", "all": os.mkdir(name)
open("lower/file", "w").write("0123456789"); open("lower/mapped", "w").write("mapped")
open("lower/one", "w").write("linked"); os.link("lower/one", "lower/folder/two")
# The clock of a file system has steps: what is older must be seen to be.
while os.path.exists("upper") is False or os.stat("upper").st_mtime_ns <= os.stat("lower/one").st_ctime_ns:
    if os.path.exists("upper"): os.rmdir("upper")
    os.mkdir("upper")
subprocess.run(["mount", "-t", "overlay", "none", "-o", "lowerdir=lower,upperdir=upper,workdir=work", "all"], check=True)
os.chdir("all")
def said():
    os.chdir("/")
    print("ready", flush=True)
    sys.stdin.readline()
`;

testWith(['unshare', 'mount', 'python3'], 'files of the lower layer of an overlay', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'only root can mount an overlay');
  const cwd = scratch(t);
  const run = (code: string) =>
    start(t, 'unshare', ['-m', 'python3', '-c', `${inOverlay}${code}`, cwd], { cwd });
  const original = run(`import mmap
fd = os.open("file", os.O_RDONLY); os.lseek(fd, 3, 0)
twice = os.open("file", os.O_RDONLY | os.O_CLOEXEC)
other = os.open("mapped", os.O_RDONLY); memory = mmap.mmap(other, 6, mmap.MAP_SHARED, mmap.PROT_READ); os.close(other)
os.unlink("file"); os.unlink("mapped")
open("file", "w").write("another")
os.unlink("file")
said()
assert os.read(fd, 4) == b"3456" and os.pread(twice, 20, 0) == b"0123456789" and memory[:] == b"mapped"
assert os.path.sameopenfile(fd, twice) and os.lseek(twice, 0, 1) == 0
print("ok")`);
  await original.ready();
  await freeze(original.pid, 'frozen.bin', [], { cwd });
  await original.goAndExpectOk();
  await start(t, join(cwd, 'frozen.bin'), [], { cwd }).goAndExpectOk();
  for (const [code, why] of [
    // It has another name, which is in another folder.
    [
      'fd = os.open("one", os.O_RDONLY); os.unlink("one")',
      /descriptor 3 \(file, .*one \(deleted\)\) .*: its path is gone/,
    ],
    [
      'open("file", "a").write("!"); os.link("file", "folder/moved"); fd = os.open("file", os.O_RDONLY); os.unlink("file")',
      /descriptor 3 \(file, .*file \(deleted\)\) .*: its path is gone/,
    ],
  ] as const) {
    const running = run(`${code}\nsaid()\nprint("ok")`);
    await running.ready();
    const { code: status, stderr } = await proc2elf([String(running.pid), '-o', 'x.bin'], { cwd });
    t.is(status, 1);
    t.regex(stderr, why);
    await running.goAndExpectOk();
  }
});
