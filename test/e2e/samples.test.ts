import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { repository } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

testWith(['bash', 'cc'], 'the demo shows a count without gap or repeat', async (t) => {
  const { code, stdout, stderr } = await run('bash', [join(repository, 'samples/demo.sh')], {
    cwd: scratch(t),
  });
  t.is(code, 0, stdout + stderr);
  t.regex(stdout, /Counted from 1 to \d+ without a gap or a repeat/);
});

const samples: Readonly<Record<string, readonly string[]>> = {
  'pi.py': ['python3', join(repository, 'samples/pi.py')],
  'primes.sh': ['bash', join(repository, 'samples/primes.sh')],
};

for (const [name, [command, ...args]] of Object.entries(samples)) {
  testWith([command as string], `${name} goes on where it was frozen`, async (t) => {
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    const undisturbed = start(t, command as string, args, { cwd });
    const original = start(t, command as string, args, { cwd });
    await original.seen(/[\s\S]{60}/);
    await freeze(original.pid, image, ['--kill'], { cwd });
    await original.ending();
    const thawed = start(t, image, [], { cwd });
    await thawed.seen(/[\s\S]{200}/);
    const length = original.stdout.length + 200;
    while (undisturbed.stdout.length < length) await undisturbed.seen(new RegExp(`[\\s\\S]{${length}}`));
    t.is((original.stdout + thawed.stdout).slice(0, length), undisturbed.stdout.slice(0, length));
  });
}
