import { chmodSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { asUser, roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

const NOBODY = 65534;

testWith([], 'files that are deleted, renamed, behind links, and large', (t) =>
  roundTrip(t, { command: target('files'), goesOn: false }),
);

testWith([], 'the same where deleted files become files again', async (t) => {
  const folder = scratch(t);
  await roundTrip(t, { command: target('files'), goesOn: false, thaw: ['--scratch', folder] });
});

testWith([], 'files of an ordinary user', (t) =>
  process.getuid?.() === 0
    ? roundTrip(t, { command: target('files'), goesOn: false, uid: NOBODY, stderr: /^([^\n]+\n)?$/ })
    : Promise.resolve(leaveOut(t, 'only root can become another user')),
);

testWith(['setpriv'], 'what was opened with rights that are given up since', async (t) => {
  await roundTrip(t, { command: target('files'), args: ['rights'], goesOn: false });
  if (process.getuid?.() !== 0) return;
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const running = start(t, target('files'), ['rights'], { cwd });
  await running.ready();
  await freeze(running.pid, image, ['--kill'], { cwd });
  await running.ending();
  for (const path of [cwd, image]) {
    chownSync(path, NOBODY, NOBODY);
    chmodSync(path, 0o700);
  }
  const [command = '', ...rest] = [...asUser(NOBODY), image, '--pid=new'];
  const { code, stderr } = await run(command, rest, { cwd });
  t.is(code, 125);
  t.regex(stderr, /^frozen\.bin: cannot reopen [^\n]*secret \(descriptor 3, file\): [^\n]*EACCES[^\n]*\n$/);
});
