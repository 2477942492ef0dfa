/** Paths that are no UTF-8 go through all of it: the freeze, the image, the listing, the thaw. */
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf } from './harness/tool.js';

testWith([], 'paths that are no text', (t) => roundTrip(t, { command: target('odd-paths'), goesOn: false }));

testWith([], 'an inspection shows their bytes', async (t) => {
  const cwd = scratch(t);
  const running = start(t, target('odd-paths'), [], { cwd });
  await running.ready();
  await freeze(running.pid, 'frozen.bin', [], { cwd });
  const inspect = async (...options: string[]) => {
    const { code, stdout, stderr } = await proc2elf(['inspect', 'frozen.bin', ...options], { cwd });
    t.is(code, 0, stderr);
    return stdout;
  };
  t.regex(await inspect(), /\/folder\\xffé\\xc3$/m);
  t.regex(await inspect('--program'), /"[^"]*\/folder\\xffé\\xc3\/file\\xffé\\xc3", O_RDWR/);
  const { processes } = JSON.parse(await inspect('--json'));
  t.true(processes[0].workingDirectory.endsWith('/folder\udcffé\udcc3'));
  await running.goAndExpectOk();
});

testWith([], 'a folder above them is moved, and a file among them embedded', async (t) => {
  const cwd = scratch(t);
  const running = start(t, target('odd-paths'), [], { cwd });
  await running.ready();
  await freeze(running.pid, 'frozen.bin', [], { cwd });
  const rewritten = await proc2elf(
    ['rewrite', 'frozen.bin', '-o', 'other.bin', '--path', `${cwd}=${cwd}/elsewhere`, '--files', 'embed'],
    { cwd },
  );
  t.is(rewritten.code, 1);
  t.regex(rewritten.stderr, /\/elsewhere\/folder\\xffé\\xc3\/\S+: /);
  const embedded = await proc2elf(['rewrite', 'frozen.bin', '-o', 'other.bin', '--files', 'embed'], { cwd });
  t.is(embedded.code, 0, embedded.stderr);
  await running.goAndExpectOk();
});
