/** The target programs themselves: content when nothing happens to them, complaining when something does. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Disturbance, disturbances } from './disturbances.js';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { run } from './harness/tool.js';

const undisturbed: readonly (readonly string[])[] = [
  ['core.pie', 'an argument', ''],
  ['memory'],
  ['regions'],
  ['vdso'],
  ['registers', 'avx'],
  ['threads', '50'],
  ['locks'],
  ['signals'],
  ['timers'],
  ['timers', 'ticking'],
  ['timerfds'],
  ['files'],
  ['settings'],
  ['filesignals'],
  ['marks'],
  ['pidfds'],
  ['ended'],
  ['ptys'],
  ['watches'],
  ['identity', 'a', '', 'b'],
  ['descriptors'],
  ['rights'],
  ['records'],
  ['answer'],
];

for (const [program, ...args] of undisturbed) {
  testWith([], `${[program, ...args].join(' ')} is content when stopped and continued`, async (t) => {
    const running = start(t, target(program as string), args, { cwd: scratch(t) });
    await running.ready();
    running.signal('SIGSTOP');
    while (!/\) T /.test(readFileSync(`/proc/${running.pid}/stat`, 'utf8'))) await pause(5);
    running.signal('SIGCONT');
    await t.notThrowsAsync(running.goAndExpectOk());
  });
}

/** gdb's command line that attaches, selects the thread, disturbs, and lets go. */
function gdb(pid: number, { thread, commands }: Disturbance): string[] {
  const frames = 'lambda f: [f.name()] + (frames(f.older()) if f.older() else [])';
  const select =
    `python frames = ${frames}; next(t for t in gdb.selected_inferior().threads() ` +
    `if t.switch() or '${thread}' in frames(gdb.newest_frame()))`;
  const script = thread === undefined ? commands : [select, ...commands];
  return ['-batch', '-nx', '-p', String(pid), ...script.flatMap((command) => ['-ex', command])];
}

testWith(['gdb'], 'every check can fail', async (t) => {
  t.timeout(300_000);
  for (const disturbance of disturbances) {
    const { program, args = [], commands, says } = disturbance;
    const what = `${program}: ${commands.join('; ')}`;
    const running = start(t, target(program), args, { cwd: scratch(t) });
    const line = await running.line();
    if (line.startsWith('left out')) {
      leaveOut(t, line);
      continue;
    }
    const { stderr } = await run('gdb', gdb(running.pid, disturbance), { cwd: '/' });
    running.send('go\n');
    const { code } = await running.ending();
    t.not(code, 0, `${what}: ${stderr}`);
    t.regex(running.stdout, says, `${what}: ${stderr}`);
  }
});
