import { statSync } from 'node:fs';
import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { childrenOf, type Running, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

const GENERATIONS = 100;

/** The thawed process: the image's own, or the child that it supervises. */
function thawedPid(running: Running): number {
  return childrenOf(running.pid)[0] ?? running.pid;
}

testWith([], 'a hundred generations, each frozen from the one before, do not grow', async (t) => {
  t.timeout(600_000);
  const cwd = scratch(t);
  let running = start(t, target('answer'), [], { cwd });
  let pid = running.pid;
  await running.ready();
  const sizes: { regions: number; bytes: number }[] = [];
  for (let generation = 1; generation <= GENERATIONS; generation++) {
    const image = join(cwd, `${generation % 2}.bin`);
    const { regions } = await freeze(pid, image, ['--kill'], { cwd });
    sizes.push({ regions, bytes: statSync(image).size });
    await running.ending();
    running = start(t, image, [], { cwd });
    running.send('next\n');
    t.is(await running.line(), String(generation));
    // Anybody may have taken the id in between.
    t.regex(running.stderr, /^([^\n]+process id \d+ is taken[^\n]+\n)?$/);
    pid = thawedPid(running);
  }
  await running.goAndExpectOk();
  // The first generation is of a process that no image has made: compare with the second.
  const second = sizes[1] ?? { regions: 0, bytes: 0 };
  t.is(sizes.at(-1)?.regions, second.regions);
  // Numbers in the snapshot, such as process ids, are not all of one length.
  t.true(Math.abs((sizes.at(-1)?.bytes ?? 0) - second.bytes) < 1024, JSON.stringify(sizes));
  t.true(second.regions <= (sizes[0]?.regions ?? 0) + 1, JSON.stringify(sizes.slice(0, 2)));
});

for (const name of [
  ...[
    'descriptors',
    'records',
    'unixsockets',
    'rights',
    'inet',
    'timerfds',
    'watches',
    'pidfds',
    'files',
    'filesignals',
  ],
  ...['signals', 'timers', 'locks', 'memory'],
]) {
  testWith([], `what an image has made is frozen as well: ${name}`, (t) =>
    roundTrip(t, { command: target(name), goesOn: false, generations: 3 }),
  );
}

testWith([], 'one image is started ten times at once', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  original.send('next\n');
  t.is(await original.line(), '1');
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();
  const all = Array.from({ length: 10 }, () => start(t, image, [], { cwd }));
  for (let number = 2; number <= 4; number++) {
    for (const running of all) running.send('next\n');
    for (const running of all) t.is(await running.line(), String(number));
  }
  for (const running of all) await running.goAndExpectOk();
});

testWith([], 'the process that was frozen works on beside its image', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  await freeze(original.pid, image, [], { cwd });
  const thawed = start(t, image, [], { cwd });
  for (const running of [thawed, original, thawed, original]) running.send('next\n');
  for (const number of ['1', '2']) {
    t.is(await original.line(), number);
    t.is(await thawed.line(), number);
  }
  await original.goAndExpectOk();
  await thawed.goAndExpectOk();
});
