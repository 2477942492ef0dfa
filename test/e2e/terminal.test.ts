import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { testWith } from './harness/needs.js';
import { cli, target } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { inTerminal } from './harness/terminal.js';
import { freeze } from './harness/tool.js';

testWith(['python3'], 'CPython goes on at its prompt, in another terminal', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const before = await inTerminal(t, ['python3', '-q', '-i'], { cwd });
  await before.screen.seen(/>>> /);
  before.screen.send('value = 6\n');
  before.screen.send('print("set", value)\n');
  await before.screen.seen(/\nset 6\r\n>>> /);
  await freeze(before.pid, image, ['--kill'], { cwd });
  await before.screen.ending();

  const after = await inTerminal(t, [image], { cwd });
  after.screen.send('print("product", value * 7)\n');
  await after.screen.seen(/product 42\r\n>>> /);
  after.screen.send('import os; print(os.isatty(0), os.get_terminal_size())\n');
  await after.screen.seen(/True os.terminal_size\(columns=80, lines=24\)/);
  after.screen.send('exit()\n');
  t.is((await after.screen.ending()).code, 0);
});

testWith(['python3', 'vim'], 'vim goes on editing a file and draws itself anew', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  writeFileSync(join(cwd, 'text'), 'first line\n');
  // -X: no connection to an X server.
  const before = await inTerminal(t, ['vim', '-X', '-u', 'NONE', '-n', 'text'], { cwd });
  await before.screen.seen(/first line/);
  before.screen.send('osecond line, half');
  await before.screen.seen(/second line, half/);
  await freeze(before.pid, image, ['--kill'], { cwd });
  await before.screen.ending();

  const after = await inTerminal(t, [image], { cwd });
  await after.screen.seen(/first line[\s\S]*second line, half/);
  after.screen.send(' and half\rthird\x1b');
  after.screen.send(':wq\r');
  t.is((await after.screen.ending()).code, 0);
  t.is(readFileSync(join(cwd, 'text'), 'utf8'), 'first line\nsecond line, half and half\nthird\n');
});

const waits: readonly (readonly [args: readonly string[], end: RegExp])[] = [
  [['read'], /EINTR, drawn 1 times/],
  [['poll'], /EINTR, drawn 1 times/],
  [['poll', 'restart'], /EINTR, drawn 1 times/],
  [['timed-poll'], /EINTR, drawn 1 times/],
  [['select'], /EINTR, drawn 1 times/],
  [['sleep'], /EINTR, drawn 1 times/],
  [['read', 'restart'], /a key, drawn 1 times/],
];

for (const [args, end] of waits) {
  testWith(['python3'], `a program in a new terminal is told to draw anew: ${args.join(', ')}`, async (t) => {
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    const before = await inTerminal(t, [target('winch'), ...args], { cwd });
    await before.screen.seen(/ready/);
    while (readFileSync(`/proc/${before.pid}/syscall`, 'utf8').startsWith('running')) await setImmediate();
    await freeze(before.pid, image, ['--kill'], { cwd });
    await before.screen.ending();

    const after = await inTerminal(t, [image], { cwd });
    // For the one wait that a signal does not end.
    if (args.join() === 'read,restart') after.screen.send('\n');
    await after.screen.seen(end);
    t.is((await after.screen.ending()).code, 0);
  });
}

testWith(['python3'], 'the tool itself runs in a terminal, and shows there how far it is', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  const tool = [process.execPath, cli, String(original.pid)];
  const { screen } = await inTerminal(t, [...tool, '-o', image], { cwd });
  await screen.seen(/copying memory #+ 100%[\s\S]*process \d+ frozen into .*; it runs on\r\n/);
  t.is((await screen.ending()).code, 0);

  const streamed = await inTerminal(t, [...tool, '-o', '-'], { cwd });
  await streamed.screen.seen(/the image would go to the terminal/);
  t.is((await streamed.screen.ending()).code, 2);
  await original.goAndExpectOk();
});
