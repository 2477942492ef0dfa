/** What a program is about to take is not lost: it is given the time. */
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { script } from './harness/paths.js';
import { asUser, nobody } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

const lost = {
  // Root need not wait for it: the kernel shows it to nobody else.
  event: { warning: /not read/, as: process.getuid?.() === 0 ? asUser(nobody) : [] },
  connection: { warning: /not accepted/, as: [] },
};

for (const [what, { warning, as }] of Object.entries(lost)) {
  testWith(['/usr/bin/python3', 'setpriv'], `a program is given the time to take its ${what}`, async (t) => {
    const cwd = scratch(t);
    if (as.length > 0) chownSync(cwd, nobody, nobody);
    const image = join(cwd, 'frozen.bin');
    const [command, ...args] = [...as, '/usr/bin/python3', script('scripts/late.py'), what];
    const original = start(t, command!, args, { cwd });
    await original.ready();
    const { warnings } = await freeze(original.pid, image, ['--kill'], { cwd }, as);
    t.notRegex(warnings.join('\n'), warning);
    const [thaw, ...rest] = [...as, image];
    const thawed = start(t, thaw!, rest, { cwd });
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
