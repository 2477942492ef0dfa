import { join } from 'node:path';
import { readImage } from '../../src/image/read.js';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

testWith([], 'signal actions, masks, pending signals and alternate stacks come back', (t) =>
  roundTrip(t, { command: target('signals') }),
);

testWith([], 'timers come back with their ids and the time left', (t) =>
  roundTrip(t, { command: target('timers') }),
);

testWith([], 'ticking timers tick on', (t) => roundTrip(t, { command: target('timers'), args: ['ticking'] }));

testWith([], 'identity comes back', (t) =>
  roundTrip(t, { command: target('identity'), args: ['a b', '', '\n'], goesOn: false }),
);

testWith([], 'an undumpable process stays undumpable', (t) => {
  if (process.getuid?.() !== 0) {
    t.log('only root can look into it');
    t.pass();
    return Promise.resolve();
  }
  return roundTrip(t, { command: target('identity'), args: ['undumpable', '', '\n'], goesOn: false });
});

testWith([], 'another user keeps capabilities, what bounds them, and securebits', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'only root may become another user');
  await roundTrip(t, { command: target('identity'), args: ['other user', '', '\n'], goesOn: false });
});

testWith([], 'settings that few programs make come back', (t) =>
  roundTrip(t, { command: target('settings') }),
);

testWith([], 'what may be dropped is not in the image', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('settings'), [], { cwd });
  await original.ready();
  await freeze(original.pid, image, [], { cwd });
  const { snapshot } = await readImage(image);
  const droppable = snapshot.processes[0]!.regions.filter(({ flags }) => flags.includes('dp'));
  if (droppable.length === 0) t.log('this kernel has no droppable memory');
  t.true(droppable.every(({ extents }) => extents.length === 0));
  await original.goAndExpectOk();
});

testWith([], 'settings come back lazily, under a new id', (t) =>
  roundTrip(t, {
    command: target('settings'),
    thaw: ['--lazy', '--pid=new'],
    stderr: /^([^\n]+\n)?$/,
  }),
);

testWith([], 'descriptors of every kind come back', (t) =>
  roundTrip(t, { command: target('descriptors'), goesOn: false }),
);

testWith([], 'record locks come back', (t) => roundTrip(t, { command: target('records'), goesOn: false }));
