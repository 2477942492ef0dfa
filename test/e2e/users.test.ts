import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { leaveOut, testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { asUser, type RoundTrip, roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

/** Debian's nobody: a user that every machine has. */
const nobody = 65534;
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
