import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

const command = target('choices');
const bash = (redirection: string) => ['bash', '-c', `exec "$0" "$@" ${redirection}`];
/** Runs the target where its input is. */
const withInput = ['sh', '-c', 'printf 0123456789 >input; exec "$0" "$@"'];

testWith(['sh'], 'the null device, the streams, and no descriptor, in place of what was there', (t) =>
  roundTrip(t, {
    before: withInput,
    command,
    args: [
      '10 null',
      '10 flags 2',
      '11 closed',
      '12 null',
      '12 flags 1026',
      '13 offset 3',
      '2 says to the stream',
    ],
    freeze: ['--fd', '10=null', '--fd', '11=drop', '--fd', '12=null', '--fd', '2=inherit'],
    goesOn: false,
    stderr: /^to the stream$/,
  }),
);

testWith(['bash'], 'descriptors that are passed in keep their numbers', (t) =>
  roundTrip(t, {
    before: withInput,
    command,
    args: ['10 reads from ten', '11 reads from eleven', '3 closed', '100 closed', '12 offset 5'],
    freeze: ['--external', '10', '--fd', '11=inherit'],
    beforeImage: [
      'bash',
      '-c',
      'printf "from ten" >ten; printf "from eleven" >eleven; exec "$0" "$@" 11<eleven 10<ten 3<ten 7<ten',
    ],
    goesOn: false,
  }),
);

testWith(
  ['sh'],
  'without a descriptor that has to be passed in, an image refuses before it starts',
  async (t) => {
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    writeFileSync(join(cwd, 'input'), '0123456789');
    const original = start(t, command, ['11 says more'], { cwd });
    await original.ready();
    await freeze(original.pid, image, ['--kill', '--external', '10', '--external', '11'], { cwd });
    for (const options of [[], ['--check'], ['--lazy', '--pid=new']]) {
      const outcome = await run('bash', [...bash('10<input').slice(1), image, ...options], { cwd });
      t.is(outcome.code, 125);
      t.regex(outcome.stderr, /^[^\n]*cannot take over descriptor 11, which [^\n]*: EBADF[^\n]*\n$/);
      t.is(outcome.stdout, '');
    }
    const checked = await run('bash', [...bash('10<input 11<>input').slice(1), image, '--check'], { cwd });
    t.is(checked.code, 0, checked.stderr);
    t.is(readFileSync(join(cwd, 'input'), 'utf8'), '0123456789');
  },
);

testWith([], 'a descriptor that two options speak of is a usage error', async (t) => {
  const cwd = scratch(t);
  for (const [options, line] of [
    [['--fd', '5=a', '--external', '5'], /--fd 5=a: --external 5 was said of descriptor 5, too/],
    [['--drop-fd', '5', '--fd', '5=null'], /--fd 5=null: --drop-fd 5 was said of descriptor 5, too/],
    [['--fd', '5=a', '--fd', '5=inherit'], /--fd 5=inherit: --fd 5=a was said of descriptor 5, too/],
    [['--fd', '5'], /say --fd N=PATH, N=inherit, N=null or N=drop/],
  ] as const) {
    const { code, stderr } = await proc2elf([String(process.pid), '-o', 'x', ...options], { cwd });
    t.is(code, 2);
    t.regex(stderr, line);
  }
});

/** Starts the target, freezes it with these options, and ends it. */
async function frozen(
  t: Parameters<typeof start>[0],
  checks: readonly string[],
  options: (cwd: string) => readonly string[],
) {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  writeFileSync(join(cwd, 'input'), '0123456789');
  const original = start(t, command, checks, { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill', '--fd', '10=null', '--fd', '11=null', ...options(cwd)], {
    cwd,
  });
  return { cwd, image, in: (name: string) => join(cwd, name) };
}

testWith([], 'a choice of a descriptor that the process does not have is a usage error', async (t) => {
  const cwd = scratch(t);
  writeFileSync(join(cwd, 'input'), '');
  const original = start(t, command, ['13 offset 3'], { cwd });
  await original.ready();
  for (const option of ['--drop-fd 99', '--external 99', '--fd 99=/tmp/x', '--fd 99=/dev/null']) {
    for (const verb of ['freeze', 'check']) {
      const rest = verb === 'freeze' ? ['-o', 'x', '--kill'] : [];
      const { code, stderr } = await proc2elf([verb, String(original.pid), ...rest, ...option.split(' ')], {
        cwd,
      });
      t.is(code, 2, stderr);
      t.true(
        stderr.startsWith(`proc2elf: ${option}: process ${original.pid} has no descriptor 99 (`),
        stderr,
      );
    }
  }
  t.deepEqual(readdirSync(cwd).includes('x'), false);
  await original.goAndExpectOk();
});

testWith([], '--files embed: each image works on copies of its own', async (t) => {
  const checks = [
    '13 reads 3456789',
    '12 offset 5',
    '12 says 67',
    '12 offset 7',
    'mapped mapped',
    'follows',
    'shows',
  ];
  const where = await frozen(t, checks, () => ['--files', 'embed']);
  for (const name of ['input', 'log', 'shared', 'err']) rmSync(where.in(name));
  for (const options of [[], ['--lazy'], ['--pid=new']]) {
    const thawed = start(t, where.image, options, { cwd: where.cwd });
    await thawed.goAndExpectOk();
  }
  t.deepEqual(readdirSync(where.cwd), ['frozen.bin']);
});

testWith(
  [],
  '--file: one file is embedded, another found elsewhere, the others are opened again',
  async (t) => {
    const checks = ['12 says 67', '13 reads DEFGHIJ', '2 says err', 'mapped mapped', 'follows'];
    const where = await frozen(t, checks, (cwd) => [
      '--file',
      'log=embed',
      '--file',
      `${cwd}/input=elsewhere`,
    ]);
    writeFileSync(where.in('elsewhere'), 'ABCDEFGHIJ');
    const thawed = start(t, where.image, [], { cwd: where.cwd });
    await thawed.goAndExpectOk();
    t.is(readFileSync(where.in('log'), 'utf8'), '12345');
    t.is(readFileSync(where.in('err'), 'utf8'), 'err');
    t.is(readFileSync(where.in('shared'), 'utf8').slice(0, 6), 'Mapped');
  },
);

testWith([], '--embed-shared takes the descriptors of a mapped file along', async (t) => {
  const where = await frozen(t, ['mapped mapped', 'follows', 'shows'], () => ['--embed-shared']);
  rmSync(where.in('shared'));
  await start(t, where.image, [], { cwd: where.cwd }).goAndExpectOk();
  t.pass();
});

testWith([], 'a file that was only read must not have changed', async (t) => {
  const where = await frozen(t, ['13 reads 3456789'], () => []);
  const modified = statSync(where.in('input')).mtime;
  writeFileSync(where.in('input'), '0123456789');
  utimesSync(where.in('input'), modified, new Date(Number(modified) + 5000));
  for (const options of [[], ['--check']]) {
    const { code, stdout, stderr } = await run(where.image, options, { cwd: where.cwd });
    t.is(code, 125);
    t.is(stdout, '');
    t.regex(
      stderr,
      /^[^\n]*cannot reopen .*\/input \(descriptor 13, file\): it has been modified since the freeze\n$/,
    );
  }
});

testWith(
  [],
  'choices of files that contradict each other, or speak of no file, are usage errors',
  async (t) => {
    const cwd = scratch(t);
    writeFileSync(join(cwd, 'input'), '');
    linkSync(join(cwd, 'input'), join(cwd, 'second'));
    const original = start(t, command, ['13 offset 3'], { cwd });
    await original.ready();
    for (const [options, line] of [
      [['--file', 'input=embed', '--file', './input=reopen'], /input is given twice/],
      [['--file', 'input=embed', '--file', 'second=reopen'], /second: it is the same file as /],
      [['--file', 'missing=embed'], /--file .*\/missing: process \d+ has no descriptor/],
      [['--file', 'input=x', '--fd', '13=y'], /--file .*\/input: process \d+ has no descriptor/],
      [['--file', 'input'], /say --file PATH=reopen, PATH=embed or PATH=NEWPATH/],
    ] as const) {
      for (const verb of ['freeze', 'check']) {
        const rest = verb === 'freeze' ? ['-o', 'x'] : [];
        const all = [verb, String(original.pid), ...rest, ...options, '--drop-fd', '10', '--drop-fd', '11'];
        const { code, stderr } = await proc2elf(all, { cwd });
        t.is(code, 2, stderr);
        t.regex(stderr, line);
      }
    }
    await original.goAndExpectOk();
  },
);

testWith([], 'what is refused names the options that let it pass', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  writeFileSync(join(cwd, 'input'), '0123456789');
  const original = start(t, command, ['13 reads 3456789'], { cwd });
  await original.ready();
  renameSync(join(cwd, 'input'), join(cwd, 'moved'));
  writeFileSync(join(cwd, 'input'), 'another');
  mkdirSync(join(cwd, 'elsewhere'));
  linkSync(join(cwd, 'moved'), join(cwd, 'elsewhere', 'link'));
  rmSync(join(cwd, 'moved'));
  const drop = ['--drop-fd', '10', '--drop-fd', '11'];
  const refused = await proc2elf([String(original.pid), '-o', image, ...drop], { cwd });
  t.is(refused.code, 1);
  const option = / use (--file) '(.*=embed)', --files embed, --drop-fd 13, --external 13, or --fd 13=PATH/;
  const [, name, value] = option.exec(refused.stderr) ?? [];
  await freeze(original.pid, image, ['--kill', ...drop, name as string, value as string], { cwd });
  await start(t, image, [], { cwd }).goAndExpectOk();
});
