/** Memory in huge pages: shared, private, as memfds and files. Root sets pages aside for the tests, and gives them back. */
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { asUser, nobody, roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

const command = target('hugepages');
const POOL = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages';
/** What the program and its image take together where both are there, and some to spare. */
const PAGES = 48;
const SEE = '\\(see /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages\\)';

/** Runs a test with pages set aside, unless that is not possible here. */
async function withPages(t: ExecutionContext<unknown>, body: () => Promise<void>): Promise<void> {
  const before = poolSize();
  try {
    setPool(before + PAGES);
  } catch (error) {
    leaveOut(t, `no huge pages can be set aside: ${String(error)}`);
    return;
  }
  t.teardown(() => setPool(before));
  if (poolSize() < before + PAGES) leaveOut(t, `this machine has no room for ${PAGES} huge pages`);
  else await body();
}

function poolSize(): number {
  return Number(readFileSync(POOL, 'utf8'));
}

function setPool(pages: number): void {
  writeFileSync(POOL, `${pages}\n`);
}

/** A mount of hugetlbfs for the time of a test. */
async function mounted(t: ExecutionContext<unknown>): Promise<string> {
  const cwd = scratch(t);
  const folder = join(cwd, 'pages');
  mkdirSync(folder);
  const { code, stderr } = await run('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'none', folder], {
    cwd,
  });
  if (code !== 0) throw new Error(stderr);
  t.teardown(async () => {
    await run('umount', ['-l', folder], { cwd });
  });
  return folder;
}

for (const thaw of [['--eager'], ['--lazy']]) {
  testWith(['mount', 'umount', POOL], `huge pages of every kind come back (${thaw})`, (t) =>
    withPages(t, async () =>
      roundTrip(t, { command, args: [await mounted(t)], goesOn: false, generations: 2, thaw }),
    ),
  );
}

testWith(['setpriv', POOL], 'an ordinary user carries memfds in huge pages', (t) =>
  withPages(t, () => roundTrip(t, { command, uid: nobody, thaw: ['--pid=new'] })),
);

testWith(['setpriv', POOL], 'what only root can read without touching it is refused', (t) =>
  withPages(t, async () => {
    const cwd = scratch(t);
    chownSync(cwd, nobody, nobody);
    const [first, ...rest] = [...asUser(nobody), command, 'anonymous'];
    const running = start(t, first as string, rest, { cwd });
    await running.ready();
    const image = join(cwd, 'image');
    const { code, stderr } = await proc2elf([`${running.pid}`, '-o', image], { cwd }, asUser(nobody));
    t.is(code, 1);
    t.regex(
      stderr,
      /^proc2elf: the memory at [0-9a-f]+-[0-9a-f]+ rw-s \/anon_hugepage \(deleted\) is in huge pages, and only root /,
    );
    await running.goAndExpectOk();
  }),
);

testWith(['mount', 'umount', POOL], 'too few huge pages are told of before the process goes on', (t) =>
  withPages(t, async () => {
    const args = [await mounted(t)];
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    const original = start(t, command, args, { cwd });
    await original.ready();
    await freeze(original.pid, image, ['--kill'], { cwd });
    await original.ending();
    const enough = poolSize();
    const takes = async (pages: number, options: readonly string[], says: RegExp) => {
      setPool(pages);
      const { code, stdout, stderr } = await run(image, options, { cwd });
      t.is(code, 125);
      t.is(stdout, '');
      t.regex(stderr, says);
    };
    // Two are in the files of the mount, which stay.
    const object = new RegExp(`^.*: cannot make [a-z ]+ \\S+: no \\d huge pages? of 2048 kB ${SEE}: .*\\n$`);
    await takes(3, [], object);
    await takes(3, ['--check'], new RegExp(`^.*: cannot get \\d+ huge pages of 2048 kB ${SEE}: .*\\n$`));
    let refusals = 0;
    for (let pages = 4; pages < enough; pages++) {
      setPool(pages);
      const check = await run(image, ['--check'], { cwd });
      if (check.code === 0) break;
      refusals++;
      const { code, stdout, stderr } = await run(image, [], { cwd });
      t.is(code, 125, `${pages} pages`);
      t.is(stdout, '');
      t.regex(stderr, /^.*: cannot .* huge pages? of 2048 kB .*\n$/, `${pages} pages`);
    }
    t.true(refusals > 10);
    // What the check lets pass suffices, but for the pages that the program takes from then on.
    const thawed = start(t, image, [], { cwd });
    setPool(enough);
    await thawed.goAndExpectOk();
  }),
);
