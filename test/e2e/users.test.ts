import {
  chmodSync,
  chownSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { leaveOut, testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { asUser, nobody, type RoundTrip, roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

const isRoot = process.getuid?.() === 0;
/** New ids are announced in one line. */
const stderr = /^([^\n]+\n)?$/;

const trips: Readonly<Record<string, RoundTrip>> = {
  'a dynamic C program': { command: target('core.pie'), args: ['an argument', ''] },
  'every kind of region': { command: target('memory'), goesOn: false },
  'every kind of descriptor': { command: target('descriptors'), goesOn: false },
  'forty threads': { command: target('threads'), args: ['40', 'new-ids'] },
  'CPython with threads': { command: '/usr/bin/python3', args: [script('scripts/work.py'), 'threads'] },
};

for (const [what, trip] of Object.entries(trips)) {
  testWith(['setpriv', trip.command], `an ordinary user freezes and thaws ${what}`, (t) =>
    // Whoever runs the tests as an ordinary user has all other tests for this.
    roundTrip(t, { ...trip, stderr, ...(isRoot ? { uid: nobody } : {}) }),
  );
}

testWith(['setpriv'], 'an ordinary user is told beforehand that it will be carried', async (t) => {
  if (!isRoot) return leaveOut(t, 'only root can become another user');
  const cwd = scratch(t);
  chownSync(cwd, nobody, nobody);
  const [command, ...args] = [...asUser(nobody), target('descriptors')];
  const original = start(t, command as string, args, { cwd });
  await original.ready();
  const checked = await proc2elf(['check', String(original.pid)], { cwd }, asUser(nobody));
  t.is(checked.stdout, `process ${original.pid} can be frozen\n`);
  await original.goAndExpectOk();
});

testWith(['setpriv'], 'root freezes what an ordinary user thaws', async (t) => {
  if (!isRoot) return leaveOut(t, 'only root can do this');
  const cwd = scratch(t);
  chownSync(cwd, nobody, nobody);
  const image = join(cwd, 'frozen.bin');
  const [command, ...args] = [...asUser(nobody), target('answer')];
  const original = start(t, command as string, args, { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();
  t.is((await run('chown', [String(nobody), image], { cwd })).code, 0);
  const thawed = start(t, 'setpriv', [...asUser(nobody).slice(1), image], { cwd });
  thawed.send('next\n');
  t.is(await thawed.line(), '1');
  await thawed.goAndExpectOk();
});

/** Freezes what Python code makes of sockets in a folder, and lets the image run as the same ordinary user. */
async function socketsOfUser(t: ExecutionContext<unknown>, code: string, locked = false): Promise<void> {
  const cwd = scratch(t);
  const where = locked ? scratch(t) : cwd;
  if (locked) chmodSync(where, 0o700);
  chownSync(cwd, nobody, nobody);
  const image = join(cwd, 'frozen.bin');
  const lines = [
    'import os, socket',
    'f = os.getcwd()',
    code.replace('GO', 'print("ready", flush=True); input()'),
  ];
  const program = [...lines, 'print("ok", flush=True)'].join('\n');
  const [command, ...args] = [...asUser(nobody), '/usr/bin/python3', '-c', program];
  const original = start(t, command as string, args, { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();
  for (const name of readdirSync(cwd)) if (join(cwd, name) !== image) rmSync(join(cwd, name));
  t.is((await run('chown', [String(nobody), image], { cwd })).code, 0);
  const thawed = start(t, 'setpriv', [...asUser(nobody).slice(1), image], { cwd: where });
  await thawed.goAndExpectOk();
}

testWith(
  ['setpriv', 'python3'],
  'an image with a socket of a relative name starts where its user may not be',
  async (t) => {
    if (!isRoot) return leaveOut(t, 'only root has a folder that others may not enter');
    const accept = 'c = socket.socket(socket.AF_UNIX); c.connect("name"); s.accept()';
    await socketsOfUser(
      t,
      `s = socket.socket(socket.AF_UNIX); s.bind("name"); s.listen()\nGO\n${accept}`,
      true,
    );
  },
);

testWith(
  ['setpriv', 'python3'],
  'sockets that are connected by paths find each other, whatever the modes of those',
  async (t) => {
    if (!isRoot) return leaveOut(t, 'only root can do this');
    await socketsOfUser(
      t,
      `
a, b = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
a.bind(f + "/a"); b.bind(f + "/b"); a.connect(f + "/b"); b.connect(f + "/a")
os.chmod("a", 0o400); os.chmod("b", 0)
GO
b.send(b"y"); assert a.recv(9) == b"y"
assert [os.stat(n).st_mode & 0o777 for n in "ab"] == [0o400, 0]`,
    );
  },
);

testWith(['setpriv'], 'what others left in a sticky folder is not touched', async (t) => {
  if (!isRoot) return leaveOut(t, 'needs root');
  const cwd = scratch(t);
  chmodSync(cwd, 0o1777);
  const [file, link, dangling] = ['file', 'link', 'dangling'].map((name) => join(cwd, name));
  writeFileSync(file as string, 'of root');
  symlinkSync('file', link as string);
  symlinkSync('nowhere', dangling as string);
  const [command, ...args] = [...asUser(nobody), target('answer')];
  const running = start(t, command as string, args, { cwd });
  await running.ready();
  for (const path of [file, link, dangling] as string[]) {
    const outcome = await proc2elf([String(running.pid), '-o', path], { cwd }, asUser(nobody));
    t.is(outcome.code, 1);
    t.regex(outcome.stderr, /^proc2elf: [^\n]*belongs to another user\n$/);
  }
  t.deepEqual(readdirSync(cwd).sort(), ['dangling', 'file', 'link']);
  t.is(readFileSync(file as string, 'utf8'), 'of root');
  // A new file there is fine, and so is root in the way that root has.
  await freeze(running.pid, join(cwd, 'own'), [], { cwd }, asUser(nobody));
  await freeze(running.pid, link as string, [], { cwd });
  t.true(lstatSync(link as string).isFile());
  t.is(readFileSync(file as string, 'utf8'), 'of root');
  await running.goAndExpectOk();
});
