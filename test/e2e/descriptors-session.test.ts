/** Programs that lead a session whose terminal is a pseudoterminal of their own. */
import { join } from 'node:path';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { childrenOf, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { inTerminal } from './harness/terminal.js';
import { freeze, run } from './harness/tool.js';

/** What whoever starts an image as an ordinary user is told, at most. */
const NEW_IDS = /^(.*: running as \d+\n)?$/;

testWith([], 'the terminal of its own session comes back', (t) =>
  roundTrip(t, { command: target('sessions'), thaw: ['--pts=new'], generations: 2, stderr: NEW_IDS }),
);

testWith([], 'so it does where only its name in the session leads to it', (t) =>
  roundTrip(t, {
    ...{ command: target('sessions'), args: ['named'] },
    ...{ thaw: ['--pts=new'], generations: 2, stderr: NEW_IDS },
  }),
);

testWith([], 'so it does under a new id', (t) =>
  roundTrip(t, { command: target('sessions'), thaw: ['--pts=new', '--pid=new'] }),
);

testWith(['setsid'], 'so it does under a new id within a session that was made for it', (t) =>
  roundTrip(t, {
    ...{ command: target('sessions'), beforeImage: ['setsid', '--wait'] },
    thaw: ['--pts=new', '--pid=new'],
  }),
);

testWith([], 'so it does without privileges', (t) =>
  roundTrip(t, {
    ...{ command: target('sessions'), thaw: ['--pts=new'], stderr: NEW_IDS },
    ...(process.getuid?.() === 0 ? { uid: 65534 } : {}),
  }),
);

testWith(['python3'], 'the terminal in which the image was started stays that of its streams', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'only root can take an old process id');
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const before = await inTerminal(t, [target('sessions'), 'outer'], { cwd });
  await before.screen.seen(/ready/);
  await freeze(childrenOf(before.pid)[0]!, image, ['--kill'], { cwd });
  await before.screen.ending();

  const after = await inTerminal(t, [image, '--pts=new'], { cwd });
  // Not before there is somebody to pass the key on to.
  while (childrenOf(after.pid).length === 0) await new Promise(setImmediate);
  after.screen.send('\x03');
  await after.screen.seen(/\^C/);
  after.screen.send('go\n');
  await after.screen.seen(/\nok\r\n/);
  t.is((await after.screen.ending()).code, 0);
});

testWith(['python3', 'bash'], 'whoever cannot begin a session is told how to start the image', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('sessions'), [], { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();

  for (const option of ['', ' --check']) {
    const { screen } = await inTerminal(t, [image, '--pts=new', '--pid=new', ...option.split(' ').slice(1)], {
      cwd,
    });
    await screen.seen(
      /cannot make a session with its terminal \(descriptor \d+, pseudoterminal\): it leads a session that has another terminal; start it with: setsid IMAGE/,
    );
    t.is((await screen.ending()).code, 125);
    // The shell stays, and makes it the first of a group.
    const job = `set -m; ${image} --pts=new --pid=new${option}; exit $?`;
    const { code, stderr } = await run('bash', ['-c', job], { cwd });
    t.is(code, 125);
    t.regex(stderr, /it lead a process group; start it with: setsid IMAGE/);
  }
});
