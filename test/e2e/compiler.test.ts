import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { testWith } from './harness/needs.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

/** A C file that keeps the optimizer busy for some seconds. */
function source(functions: number): string {
  const body = (n: number): string =>
    `int f${n}(int *p, int n) { int s = ${n}; for (int i = 0; i < n; i++) for (int j = i; j < n; j++) ` +
    `{ switch ((p[i] ^ j) & 7) { case 0: s += p[j] * ${n}; break; case 1: s ^= i; break; case 2: p[i] -= s; break; ` +
    `case 3: s = s / (j + 1); break; case 4: p[j] = s % ${n + 3}; break; default: s -= i * j; } } return s; }\n`;
  return Array.from({ length: functions }, (_, n) => body(n)).join('');
}

/** Processor time of a process in clock ticks, user and system. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

testWith(['gcc', 'as'], 'cc1 frozen in mid-compilation makes the same object file', async (t) => {
  const cwd = scratch(t);
  const compiler = (await run('gcc', ['-print-prog-name=cc1'], { cwd })).stdout.trim();
  writeFileSync(join(cwd, 'big.i'), source(400));
  const command = (out: string) => ['-quiet', '-O2', 'big.i', '-o', out];
  t.is((await run(compiler, command('undisturbed.s'), { cwd })).code, 0);

  const image = join(cwd, 'frozen.bin');
  const original = start(t, compiler, command('big.s'), { cwd });
  while (ticks(original.pid) < 50) await pause(10);
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();
  const half = readFileSync(join(cwd, 'big.s'), 'utf8');
  const whole = readFileSync(join(cwd, 'undisturbed.s'), 'utf8');
  t.true(half.length < whole.length, 'it was frozen before its end');

  const thawed = start(t, image, [], { cwd });
  t.deepEqual(await thawed.ending(), { code: 0, signal: null }, thawed.stderr);
  for (const name of ['big', 'undisturbed']) await run('as', [`${name}.s`, '-o', `${name}.o`], { cwd });
  t.is(readFileSync(join(cwd, 'big.s'), 'utf8'), whole);
  t.deepEqual(readFileSync(join(cwd, 'big.o')), readFileSync(join(cwd, 'undisturbed.o')));
});
