import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { TargetError } from '../../src/errors.js';
import { readProcLines } from '../../src/proc/read.js';

test('lines come one by one, short and long ones, and the last without a newline', async (t) => {
  const lines = Array.from({ length: 20_000 }, (_, i) => String(i % 100));
  const long = 'ä'.repeat(50_000); // more than is read at once, and broken within a character
  const child = spawn('sh', ['-c', 'echo; read x'], {
    env: { LINES: `\n${lines.join('\n')}\n`, LONG: `${long}\nend` },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const read = [...readProcLines(child.pid!, 'environ')];
  child.stdin.end();
  t.deepEqual(read, ['LINES=', ...lines, `\0LONG=${long}`, 'end\0']);
  await once(child, 'exit');
});

test('a process that has ended is named', (t) => {
  t.throws(() => [...readProcLines(2 ** 22 + 1, 'maps')], {
    instanceOf: TargetError,
    message: /^process 4194305 has ended/,
  });
});
