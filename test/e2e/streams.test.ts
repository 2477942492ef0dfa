import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { cli, target } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

testWith(['sh', 'cat'], 'an image stands in a pipeline', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const pipeline = (program: string) => `cat | ${program} | cat`;
  const original = start(t, 'sh', ['-c', pipeline(target('answer'))], {
    cwd,
  });
  await original.ready();
  const { stdout } = await run('pgrep', ['-P', String(original.pid), 'answer'], { cwd });
  await freeze(Number(stdout), image, ['--kill'], { cwd });
  original.endInput();
  await original.ending();

  const thawed = start(t, 'sh', ['-c', pipeline('./frozen.bin')], { cwd });
  thawed.send('next\n');
  t.is(await thawed.line(), '1');
  thawed.send('go\n');
  thawed.endInput();
  await thawed.expectOk();
});

testWith([], 'an image is streamed to standard output, front to back', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'streamed.bin');
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  // Through a pipe, into a file that cannot be sought back.
  const tool = spawn(
    'sh',
    ['-c', `"$0" "$1" "$2" -o - | cat > streamed.bin`, process.execPath, cli, String(original.pid)],
    {
      cwd,
      stdio: ['ignore', 'ignore', openSync(join(cwd, 'said'), 'w')],
    },
  );
  t.deepEqual(await once(tool, 'close'), [0, null]);
  t.is((await run('chmod', ['700', image], { cwd })).code, 0, readFileSync(join(cwd, 'said'), 'utf8'));
  await original.goAndExpectOk();
  const thawed = start(t, image, [], { cwd });
  thawed.send('next\n');
  t.is(await thawed.line(), '1');
  await thawed.goAndExpectOk();
});

testWith(['sh'], 'a process is not ended for an image that goes nowhere', async (t) => {
  const cwd = scratch(t);
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  for (const nowhere of ['>&-', '>/dev/null']) {
    const line = `exec "$0" "$1" "$2" -o - --kill ${nowhere}`;
    const { code, stderr } = await run('sh', ['-c', line, process.execPath, cli, String(original.pid)], {
      cwd,
    });
    t.is(code, 2, stderr);
    t.regex(stderr, /^proc2elf: stdout is closed or the null device: [^\n]+\n$/);
  }
  await original.goAndExpectOk();
});

testWith([], 'without -o the image is named after the process', async (t) => {
  const cwd = scratch(t);
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  const { code, stderr } = await proc2elf(['freeze', String(original.pid), '-q'], { cwd });
  t.is(code, 0, stderr);
  await original.goAndExpectOk();
  const thawed = start(t, join(cwd, `answer.${original.pid}.bin`), [], { cwd });
  await thawed.goAndExpectOk();
});

testWith([], '--stop leaves the process stopped', async (t) => {
  const cwd = scratch(t);
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  await freeze(original.pid, join(cwd, 'frozen.bin'), ['--stop'], { cwd });
  t.regex(readFileSync(`/proc/${original.pid}/stat`, 'utf8'), /\) T /);
  original.signal('SIGCONT');
  await original.goAndExpectOk();
});
