import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { testWith } from '../harness/needs.js';
import { script, target } from '../harness/paths.js';
import { start } from '../harness/running.js';
import { scratch } from '../harness/scratch.js';
import { freeze } from '../harness/tool.js';
import { nodePrograms, resumeOnNode } from './machine.js';

/**
 * The C library chooses its string functions, and the one that saves registers for lazy binding,
 * by processor: nothing that software emulation lacks.
 */
const env = {
  ...process.env,
  GLIBC_TUNABLES: 'glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD,-XSAVEC',
};

const counting: Readonly<Record<string, readonly string[]>> = {
  static: [target('count.static')],
  dynamic: [target('count')],
  perl: ['perl', script('scripts/count.pl')],
  python: ['/usr/bin/python3', script('scripts/count.py')],
};

testWith(
  [...nodePrograms, 'perl', '/usr/bin/python3'],
  'images go on counting on another node',
  async (t) => {
    const cwd = scratch(t);
    const images: string[] = [];
    const reached = new Map<string, number>();
    for (const [name, [command, ...args]] of Object.entries(counting)) {
      const image = join(cwd, name);
      // In the root directory: the node has no other one of this machine's.
      const original = start(t, command as string, args, { cwd: '/', env });
      while ((await original.line()) !== '5');
      await freeze(original.pid, image, ['--kill'], { cwd });
      await original.ending();
      reached.set(name, Number(original.stdout.trimEnd().split('\n').at(-1)));
      images.push(image);
    }
    // The program itself, from its start: if this fails, the node is at fault.
    images.push(join(cwd, 'plain'));
    copyFileSync(target('count.static'), join(cwd, 'plain'));
    const wide = start(t, target('registers'), ['avx512'], { cwd: '/' });
    const hasAvx512 = (await wide.line()) === 'ready';
    if (hasAvx512) {
      await freeze(wide.pid, join(cwd, 'wide'), ['--kill'], { cwd });
      images.push(join(cwd, 'wide'));
    } else {
      t.log('left out: this processor has no AVX-512');
    }

    const limits = start(t, target('limits'), ['locked'], { cwd: '/', env });
    await limits.ready();
    const strict = join(cwd, 'strict');
    await freeze(limits.pid, strict, ['--kill'], { cwd });

    const { release, resumed } = await resumeOnNode(cwd, images, [strict]);
    t.regex(release, /^6\.1\./);
    t.is(resumed.get('plain')?.code, 0, 'a program that was never frozen');
    for (const [name, last] of reached) {
      const { lines = [], code } = resumed.get(name) ?? {};
      const numbers = lines.filter((line) => /^\d+$/.test(line)).map(Number);
      t.is(code, 0, `${name}: ${lines.join('\n')}`);
      t.is(lines.at(-1), 'ok', name);
      t.true(numbers.length >= 20, `${name} counted ${numbers.length} numbers`);
      t.deepEqual(
        numbers,
        numbers.map((_, index) => last + 1 + index),
        `${name} counts on from ${last}`,
      );
    }
    if (hasAvx512) {
      const { lines = [], code } = resumed.get('wide') ?? {};
      t.is(code, 125, lines.join('\n'));
      t.regex(lines.join('\n'), /^wide: [^\n]*AVX-?512/im);
    }
    // Too little memory for the segments, then for the rest, then enough.
    const ways: string[] = [];
    for (const [name, { lines, code }] of resumed) {
      if (!name.startsWith('strict-')) continue;
      const text = lines.join('\n');
      if (code === 125) t.regex(text, /^strict: cannot [^\n]*: ENOMEM$/, name);
      if (code === 0) t.regex(text, /(^|\n)ok$/, name);
      const way =
        code === 0 ? 'works' : code === 125 ? 'refused' : code === 139 ? 'SIGSEGV' : `${code}: ${text}`;
      if (ways.at(-1) !== way) ways.push(way);
    }
    t.deepEqual(ways, ['SIGSEGV', 'refused', 'works']);
  },
);
