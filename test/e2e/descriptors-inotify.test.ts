import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

testWith([], 'watches of files come back with their numbers', (t) =>
  roundTrip(t, { command: target('watches'), goesOn: false }),
);

testWith(['/usr/bin/python3'], 'a program is given the time to read its events', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, '/usr/bin/python3', [script('scripts/late.py')], { cwd });
  await original.ready();
  const { warnings } = await freeze(original.pid, image, ['--kill'], { cwd });
  t.deepEqual(warnings, []);
  const thawed = start(t, image, [], { cwd });
  await thawed.goAndExpectOk();
});
