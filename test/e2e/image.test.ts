/** The file itself, in the eyes of the tools that everybody has. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { readImage } from '../../src/image/read.js';
import { leaveOut, testWith } from './harness/needs.js';
import { cli, target } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

/** Freezes a process with several threads and kinds of regions. */
async function makeImage(t: ExecutionContext<unknown>): Promise<{ cwd: string; image: string }> {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('memory'), [], { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd });
  return { cwd, image };
}

const readers: readonly (readonly string[])[] = [
  ['readelf', '-aW'],
  ['readelf', '-nW'],
  ['objdump', '-p'],
  ['gdb', '-batch', '-nx', '-ex', 'info files'],
  ['eu-readelf', '-a'],
  ['eu-elflint', '--gnu-ld', '--quiet'],
];

testWith([], 'ELF tools read an image without a complaint', async (t) => {
  const { cwd, image } = await makeImage(t);
  for (const [tool, ...args] of readers) {
    const outcome = await run(tool as string, [...args, image], { cwd });
    if (outcome.code === 127 && outcome.stderr.includes('ENOENT')) {
      leaveOut(t, `${tool} not installed`);
      continue;
    }
    // elfutils looks for the notes of core files in core files only.
    const said = outcome.stdout.replace(/^.*unknown object file note type \d+ with owner name.*\n/gm, '');
    if (tool === 'eu-elflint') t.is(said.replace(/^No errors\n/, ''), '', 'eu-elflint');
    else t.is(outcome.code, 0, `${tool} ${args.join(' ')}: ${said.slice(-1000)}`);
    t.is(outcome.stderr, '', `${tool} ${args.join(' ')}`);
    t.notRegex(said, /warning|corrupt|invalid/i, `${tool} ${args.join(' ')}`);
  }
});

testWith([], 'images of the same stopped process are equal but for the time', async (t) => {
  const cwd = scratch(t);
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  original.signal('SIGSTOP');
  const images = [];
  for (const name of ['one.bin', 'two.bin']) {
    await freeze(original.pid, join(cwd, name), [], { cwd });
    images.push(readFileSync(join(cwd, name)));
  }
  original.signal('SIGCONT');
  await original.goAndExpectOk();
  const [one, two] = images as [Buffer, Buffer];
  t.is(one.length, two.length);
  let differing = 0;
  for (let at = 0; at < one.length; at++) if (one[at] !== two[at]) differing++;
  // Three clocks as digits in the snapshot, two of them as operands, the time as text; the digest of it all.
  t.true(differing <= 150, `${differing} bytes differ`);
  const memory = await Promise.all(
    ['one.bin', 'two.bin'].map(async (name) => {
      const { snapshot } = await readImage(join(cwd, name));
      const [process] = snapshot.processes;
      const extents = process!.regions.flatMap((region) => region.extents);
      const bytes = readFileSync(join(cwd, name));
      const content = extents.map(({ offset, size }) => bytes.subarray(offset, offset + size));
      return { content: Buffer.concat(content), snapshot: { ...snapshot, taken: null } };
    }),
  );
  t.deepEqual(memory[0]!.snapshot, memory[1]!.snapshot);
  t.true(memory[0]!.content.equals(memory[1]!.content), 'memory is the same to the byte');
});

testWith([], 'an image explains itself', async (t) => {
  const { cwd, image } = await makeImage(t);
  const help = await run(image, ['--help'], { cwd });
  t.is(help.code, 0);
  const options = [
    '--info',
    '--lazy',
    '--eager',
    '--pid=new',
    '--pts=new',
    '--datagrams=drop',
    '--scratch DIR',
    '--verbose',
    '--check',
  ];
  for (const option of options) t.regex(help.stdout, new RegExp(`^  ${option}\\s+\\w`, 'm'));
  t.notRegex(help.stdout, /[{}]/, 'text alone');
  const info = await run(image, ['--info'], { cwd });
  t.is(info.code, 0);
  t.regex(info.stdout, /memory/);
  const check = await run(image, ['--check'], { cwd });
  t.is(check.code, 0, check.stdout + check.stderr);
  const unknown = await run(image, ['--nonsense'], { cwd });
  t.is(unknown.code, 2);
  t.regex(unknown.stderr, /usage/i);
});

testWith([], 'an image that cannot say what it was asked for fails', async (t) => {
  const { cwd, image } = await makeImage(t);
  for (const option of ['--help', '--info', '--check']) {
    const { code, stderr } = await run('sh', ['-c', `exec ${image} ${option} > /dev/full`], { cwd });
    t.is(code, 125, option);
    t.regex(stderr, /cannot write to standard output: ENOSPC/, option);
  }
  t.is((await run('sh', ['-c', `exec ${image} --nonsense 2> /dev/full`], { cwd })).code, 2);
});

testWith(['strace'], 'the disk is waited for with --kill, --stop and --sync', async (t) => {
  const cwd = scratch(t);
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  const synced: Record<string, boolean> = {};
  for (const options of [[], ['--sync'], ['--stop'], ['--kill']]) {
    const name = options.join('').slice(2) || 'none';
    const log = join(cwd, `${name}.log`);
    const calls = ['-f', '-e', 'trace=fsync', '-o', log];
    const command = [process.execPath, cli, String(original.pid), '-o', `${name}.bin`, '-q', ...options];
    const { code, stderr } = await run('strace', [...calls, ...command], { cwd });
    t.deepEqual({ code, stderr }, { code: 0, stderr: '' }, name);
    synced[name] = readFileSync(log, 'utf8').includes('fsync(');
    original.signal('SIGCONT');
  }
  t.deepEqual(synced, { none: false, sync: true, stop: true, kill: true });
});
