/** What a program is about to take is not lost: it is given the time. */
import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { script } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

const lost = { event: /not read/, connection: /not accepted/ };

for (const [what, warning] of Object.entries(lost)) {
  testWith(['/usr/bin/python3'], `a program is given the time to take its ${what}`, async (t) => {
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    const original = start(t, '/usr/bin/python3', [script('scripts/late.py'), what], { cwd });
    await original.ready();
    const { warnings } = await freeze(original.pid, image, ['--kill'], { cwd });
    t.notRegex(warnings.join('\n'), warning);
    const thawed = start(t, image, [], { cwd });
    await thawed.goAndExpectOk();
  });
}

testWith(['python3'], 'empty messages are not lost for something else that might yet be taken', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, 'python3', [script('scripts/empty.py')], { cwd });
  await original.ready();
  const { warnings } = await freeze(original.pid, image, ['--kill'], { cwd });
  t.regex(warnings.join('\n'), /not accepted/);
  t.notRegex(warnings.join('\n'), /empty/);
  const thawed = start(t, image, [], { cwd });
  await thawed.goAndExpectOk();
});
