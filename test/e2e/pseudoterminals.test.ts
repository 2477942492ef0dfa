/** Programs that hold pseudoterminals, frozen with data under way, or with a child at the other side. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, type Outcome, run } from './harness/tool.js';

testWith(['python3'], 'a Python program goes on with its own pseudoterminal', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, 'python3', [script('scripts/console.py')], { cwd });
  await original.line();
  original.send('type abc\n');
  await original.line();
  original.send('show\n');
  t.is(await original.line(), String.raw`'abc\r\n1: cba\r\n> '`);
  // The answer is not read, and the next line is only begun.
  original.send('type def\n');
  await original.line();
  original.send('begin gh\n');
  await original.line();
  await freeze(original.pid, image, ['--kill'], { cwd });
  t.is((await original.ending()).signal, 'SIGKILL');

  const thawed = start(t, image, ['--pts=new'], { cwd });
  thawed.send('type i\n');
  await thawed.line();
  thawed.send('show\n');
  t.is(await thawed.line(), String.raw`'def\r\n2: fed\r\n> ghi\r\n3: ihg\r\n> '`);
});

/** A tmux server of the test's own, without a client, and a way to speak to it. */
function tmux(t: ExecutionContext<unknown>, cwd: string): (...args: string[]) => Promise<Outcome> {
  const env = { ...process.env, TMUX_TMPDIR: cwd, TERM: 'xterm', LC_ALL: 'C.UTF-8' };
  const speak = (...args: string[]): Promise<Outcome> =>
    run(target('alone'), ['tmux', '-L', 'test', '-f', '/dev/null', ...args], { cwd, env });
  t.teardown(() => speak('kill-server'));
  return speak;
}

/** Starts a server whose only window runs a command and stays when that has ended; its process id. */
async function startTmux(speak: (...args: string[]) => Promise<Outcome>, command: string): Promise<number> {
  const window = ['new-session', '-d', '-x', '80', '-y', '24', command];
  const started = await speak('start-server', ';', 'set', '-g', 'remain-on-exit', 'on', ';', ...window);
  if (started.code !== 0) throw new Error(`tmux: ${started.stderr}`);
  return Number((await speak('display', '-p', '#{pid}')).stdout);
}

/** Starts an image of a server, and waits until it answers. */
async function thaw(
  t: ExecutionContext<unknown>,
  image: string,
  options: readonly string[],
  cwd: string,
  speak: (...args: string[]) => Promise<Outcome>,
): Promise<void> {
  const running = start(t, image, options, { cwd });
  let ended = false;
  void running.ending().then(() => {
    ended = true;
  });
  while ((await speak('has-session')).code !== 0) {
    if (ended) throw new Error(`the image has ended: ${running.stderr}`);
  }
}

/** Waits until a pane shows a text. */
async function shows(speak: (...args: string[]) => Promise<Outcome>, text: RegExp): Promise<void> {
  for (;;) {
    const { code, stdout, stderr } = await speak('capture-pane', '-p', '-S', '-');
    if (code !== 0) throw new Error(`tmux capture-pane: ${stderr}`);
    if (text.test(stdout)) return;
  }
}

/**
 * Waits until a pane's command has ended with a status. tmux 3.3a can miss the SIGCHLD of a command:
 * the end of another one makes it collect them all.
 */
async function ends(speak: (...args: string[]) => Promise<Outcome>, text: RegExp): Promise<void> {
  let shown = '';
  while (!text.test(shown)) {
    await speak('run-shell', 'true');
    shown = (await speak('capture-pane', '-p', '-S', '-')).stdout;
  }
}

const PANES = ['list-panes', '-a', '-F', '#{pane_dead} #{pane_dead_status}'];

testWith(['tmux'], 'a tmux server goes on with a pane whose command has ended', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const speak = tmux(t, cwd);
  const pid = await startTmux(speak, 'echo said before; cat; exit 7');
  await shows(speak, /said before/);
  await speak('send-keys', 'C-d');
  await ends(speak, /said before[\s\S]*Pane is dead \(status 7/);
  await freeze(pid, image, ['--kill'], { cwd });

  await thaw(t, image, [], cwd, speak);
  await shows(speak, /said before[\s\S]*Pane is dead \(status 7/);
  t.is((await speak(...PANES)).stdout, '1 7\n');
  t.is((await speak('respawn-pane', 'echo said after; exec cat')).code, 0);
  await shows(speak, /said after/);
  await speak('send-keys', 'typed', 'Enter');
  await shows(speak, /typed\ntyped/);
});

testWith(['tmux'], 'a tmux server finds a pane dead whose command stays behind', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const speak = tmux(t, cwd);
  const pid = await startTmux(speak, 'echo said before; exec cat');
  await shows(speak, /said before/);
  await t.throwsAsync(freeze(pid, image, ['--drop-children'], { cwd }), {
    message:
      /pseudoterminal master, .*has its other side, \/dev\/pts\/\d+, and stays behind \(--pty-peer close/,
  });
  await freeze(pid, image, ['--drop-children', '--pty-peer', 'close', '--kill'], { cwd });

  // The command may still hold the number.
  await thaw(t, image, ['--pts=new'], cwd, speak);
  await shows(speak, /said before/);
  t.is((await speak(...PANES)).stdout, '1 \n');
  t.is((await speak('respawn-pane', 'echo said after; exec cat')).code, 0);
  await shows(speak, /said after/);
});
