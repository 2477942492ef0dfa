import { readFileSync, writeFileSync } from 'node:fs';
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
