/** Rare things that no image can carry: refused by name, beforehand too, and never dropped in silence. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { childrenOf, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf } from './harness/tool.js';

const command = target('peculiar');

const refusals: readonly (readonly [what: string, options: readonly string[], line: RegExp])[] = [
  ['secret', [], /the memory at \S+ rw-s \/secretmem \(deleted\) is secret memory/],
  ['watched', ['--drop-fd', '3'], /the memory at \S+ rw-p is watched by a userfaultfd/],
  ['folder', [], /thread \d+ has a working directory and umask of its own/],
  ['deadline', [], /thread \d+ is scheduled by deadlines/],
  ['flusher', [], /thread \d+ writes other programs' data to their disks/],
  ['shared memory', ['--drop-children'], /process \d+ shares its memory with process \d+ \(peculiar\)/],
  ['misnamed', [], /the memory at \S+ rw-s \S*\/a\\x0ab shows a file to which its path does not lead/],
];

for (const [what, options, line] of refusals) {
  testWith([], `what cannot be carried is refused: ${what}`, async (t) => {
    const cwd = scratch(t);
    const original = start(t, command, [what], { cwd });
    const first = await original.line();
    if (first !== 'ready') {
      t.log(`this kernel does not offer it: ${first}`);
      t.pass();
      return;
    }
    const checked = await proc2elf(['check', String(original.pid), ...options], { cwd });
    t.is(checked.code, 1, checked.stderr);
    t.regex(checked.stdout, line);
    t.is(checked.stdout.split('\n').length, 2, checked.stdout);
    const frozen = await proc2elf([String(original.pid), '-o', 'frozen.bin', ...options], { cwd });
    t.is(frozen.code, 1, frozen.stderr);
    t.regex(frozen.stderr, line);
    t.regex(frozen.stderr, /^[^\n]+\n$/);
    await original.goAndExpectOk();
  });
}

const refusedOnceHeld: readonly (readonly [what: string, line: RegExp])[] = [
  ['dispatched', /thread \d+ has its system calls dispatched to itself/],
  ['segments', /thread \d+ has segment registers of its own \(es 2b\)/],
  ['local descriptors', /process \d+ has segments of its own \(modify_ldt\)/],
];

for (const [what, line] of refusedOnceHeld) {
  testWith([], `what cannot be carried, and only a tracer is told of, is refused: ${what}`, async (t) => {
    const cwd = scratch(t);
    const original = start(t, command, [what], { cwd });
    await original.ready();
    const frozen = await proc2elf([String(original.pid), '-o', 'frozen.bin'], { cwd });
    t.is(frozen.code, 1, frozen.stderr);
    t.regex(frozen.stderr, line);
    t.regex(frozen.stderr, /^[^\n]+\n$/);
    await original.goAndExpectOk();
  });
}

const inherited: readonly (readonly [what: string, lines: readonly RegExp[], option: readonly string[]])[] = [
  ['memory', [/^the memory at \S+ rw-s \/dev\/zero \(deleted\) is shared with/], ['--embed-shared']],
  [
    'memfd',
    [/^descriptor 3 \(deleted file, \/memfd:inherited \(deleted\)\).* shared with/],
    ['--embed-shared'],
  ],
  [
    'objects',
    [
      /^descriptor 3 \(eventfd, .* shared with/,
      /^descriptor 4 \(epoll set, .* shared with/,
      /^descriptor 5 \(timerfd, .* shared with/,
    ],
    ['--drop-fd', '3', '--fd', '4=null', '--external', '5'],
  ],
];

for (const [what, lines, options] of inherited) {
  testWith([], `what another process has, too, is refused: ${what}`, async (t) => {
    const cwd = scratch(t);
    const parent = start(t, command, [`inherited ${what}`], { cwd });
    await parent.ready();
    const [child] = childrenOf(parent.pid).map(String) as [string];
    const checked = await proc2elf(['check', child], { cwd });
    t.is(checked.code, 1);
    const said = checked.stdout.trimEnd().split('\n');
    t.is(said.length, lines.length, checked.stdout);
    lines.forEach((line, i) => {
      t.regex(said[i]!, line);
      t.true(said[i]!.includes(` process ${parent.pid} (peculiar), which stays behind`), said[i]);
    });
    t.is((await proc2elf([child, '-o', 'frozen.bin'], { cwd })).code, 1);
    const chosen = await proc2elf([child, '-o', 'frozen.bin', ...options], { cwd });
    t.is(chosen.code, 0, chosen.stderr);
    const without = await proc2elf([String(parent.pid), '-o', 'frozen.bin', '--drop-children'], { cwd });
    t.is(without.code, 0, without.stderr);
    await parent.goAndExpectOk();
  });
}

testWith([], 'a mapped file that has another name left is refused', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'told to root alone');
  const cwd = scratch(t);
  const original = start(t, command, ['linked'], { cwd });
  await original.ready();
  const frozen = await proc2elf([String(original.pid), '-o', 'frozen.bin'], { cwd });
  t.is(frozen.code, 1);
  t.regex(frozen.stderr, /rw-s \S*\/first \(deleted\) shows a file that was deleted under this name/);
  await original.goAndExpectOk();
});

testWith(['unshare'], 'a user namespace is refused', async (t) => {
  const cwd = scratch(t);
  const original = start(t, 'unshare', ['--user', '--map-root-user', command, 'nothing'], { cwd });
  try {
    await original.ready();
  } catch {
    return leaveOut(t, 'user namespaces are not permitted here');
  }
  for (const line of [['check'], ['freeze', '-o', 'frozen.bin']]) {
    const { code, stdout, stderr } = await proc2elf([...line, String(original.pid)], { cwd });
    t.is(code, 1);
    t.regex(stdout + stderr, /^[^\n]*process \d+ is in a user namespace of its own[^\n]*\n$/);
  }
  await original.goAndExpectOk();
});

testWith(
  ['unshare', 'mount'],
  'a folder of other mounts is refused, and the namespace told of',
  async (t) => {
    if (process.getuid?.() !== 0) return leaveOut(t, 'mounts are made by root');
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    mkdirSync(join(cwd, 'own'));
    const enter = 'mount -t tmpfs none own && cd own && exec "$@"';
    const original = start(t, 'unshare', ['-m', 'sh', '-c', enter, 'sh', command, 'nothing', cwd], { cwd });
    await original.ready();
    const refused = await proc2elf([String(original.pid), '-o', image], { cwd });
    t.is(refused.code, 1);
    t.regex(refused.stderr, /a working directory to which its path does not lead from here, \S+\/own: --cwd/);
    const frozen = await proc2elf([String(original.pid), '-o', image, '--kill', '--cwd', '.'], { cwd });
    t.is(frozen.code, 0, frozen.stderr);
    t.regex(frozen.stderr, /^[^\n]*warning: the process is in namespaces of its own \(mounts\)[^\n]*\n$/);
    await start(t, image, [], { cwd }).goAndExpectOk();
  },
);

testWith(['unshare', 'mount'], 'a file of other mounts is refused', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'mounts are made by root');
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  mkdirSync(join(cwd, 'own'));
  const enter = 'mount -t tmpfs none own && exec 7>>own/file 8>>file && exec "$@"';
  const original = start(t, 'unshare', ['-m', 'sh', '-c', enter, 'sh', command, 'nothing', cwd], { cwd });
  await original.ready();
  // What is found there from here is another file.
  writeFileSync(join(cwd, 'own/file'), '');
  const refused = await proc2elf([String(original.pid), '-o', image], { cwd });
  t.is(refused.code, 1);
  t.regex(
    refused.stderr,
    /^[^\n]*descriptor 7 \(file, \S+\/own\/file\)[^\n]* does not lead there from here[^\n]*\n$/,
  );
  const frozen = await proc2elf([String(original.pid), '-o', image, '--kill', '--drop-fd', '7'], { cwd });
  t.is(frozen.code, 0, frozen.stderr);
  await start(t, image, [], { cwd }).goAndExpectOk();
});

testWith(['unshare', 'mount', 'python3'], 'what is at paths of other mounts is refused', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'mounts are made by root');
  const cwd = scratch(t);
  mkdirSync(join(cwd, 'own/watched'), { recursive: true });
  const make = `
import ctypes, os, socket
os.mkdir("own/watched")
listening = socket.socket(socket.AF_UNIX); listening.bind("${cwd}/own/listening"); listening.listen()
watch = ctypes.CDLL(None).inotify_init(); ctypes.CDLL(None).inotify_add_watch(watch, b"own/watched", 2)
print("ready", listening.fileno(), watch, flush=True); input(); print("ok")
`;
  const enter = 'mount -t tmpfs none own && exec python3 -c "$1"';
  const original = start(t, 'unshare', ['-m', 'sh', '-c', enter, 'sh', make], { cwd });
  const [, listening, watch] = /^ready (\d+) (\d+)$/.exec(await original.line())!;
  for (const command of [
    ['check', String(original.pid)],
    [String(original.pid), '-o', join(cwd, 'image')],
  ]) {
    const { code, stdout, stderr } = await proc2elf(command, { cwd });
    t.is(code, 1);
    t.regex(stdout + stderr, new RegExp(`descriptor ${listening} .* does not lead there from here`));
    t.regex(stdout + stderr, new RegExp(`descriptor ${watch} .*no path`));
  }
  await original.goAndExpectOk();
});

testWith([], 'a memory policy is not carried, with a warning', async (t) => {
  const cwd = scratch(t);
  const original = start(t, command, ['bound'], { cwd });
  await original.ready();
  const frozen = await proc2elf([String(original.pid), '-o', 'frozen.bin'], { cwd });
  t.is(frozen.code, 0, frozen.stderr);
  t.regex(frozen.stderr, /memory policies are not carried \(bind:0\)/);
  await original.goAndExpectOk();
  await start(t, join(cwd, 'frozen.bin'), [], { cwd }).goAndExpectOk();
});

testWith(
  [],
  'a warning tells of pages behind the end of a mapped file, where they may be touched',
  async (t) => {
    const cwd = scratch(t);
    const original = start(t, command, ['cut'], { cwd });
    await original.ready();
    const { warnings } = await freeze(original.pid, join(cwd, 'frozen.bin'), [], { cwd });
    t.is(warnings.length, 1, warnings.join('\n'));
    t.regex(warnings[0]!, /^8192 bytes at 0x[0-9a-f]+ could not be read \(behind the end of a mapped file\)/);
    await original.goAndExpectOk();
    await start(t, join(cwd, 'frozen.bin'), [], { cwd }).goAndExpectOk();
  },
);

testWith([], '--cwd gives the image another working directory', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const other = join(cwd, 'other');
  mkdirSync(other);
  const original = start(t, command, ['gone', other], { cwd });
  await original.ready();
  const checked = await proc2elf(['check', String(original.pid), '--cwd', 'other'], { cwd });
  t.is(checked.code, 0, checked.stdout);
  await freeze(original.pid, image, ['--kill', '--cwd', 'other'], { cwd });
  await start(t, image, [], { cwd }).goAndExpectOk();
});

testWith([], 'check lets go of children as the freeze does', async (t) => {
  const cwd = scratch(t);
  const parent = start(t, 'sh', ['-c', 'sleep 1000 & echo ready; read line; kill $!; echo ok'], { cwd });
  await parent.ready();
  const pid = String(parent.pid);
  t.regex((await proc2elf(['check', pid], { cwd })).stdout, /has a child process/);
  t.is((await proc2elf(['check', pid, '--drop-children'], { cwd })).code, 0);
  await parent.goAndExpectOk();
});
