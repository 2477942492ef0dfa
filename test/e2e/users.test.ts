import {
  chmodSync,
  chownSync,
  lstatSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
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
