import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';

const addon = new URL('../../src/native/addon.js', import.meta.url).href;

/** Writes `begun`, waits for a byte, writes `done`. */
const CALLS = `
import { addon } from ${JSON.stringify(addon)};
const text = Buffer.from('begundone');
const at = addon.address(text);
const byte = addon.address(new Uint8Array(1));
const calls = [[1, 1, at, 5], [0, 0, byte, 1], [1, 1, at + 5n, 4]];
addon.outlive(BigInt64Array.from(calls.flatMap((call) => [...call, 0, 0, 0].map(BigInt))));
`;

test('calls are made to the end, even if we are killed', async (t) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', CALLS], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  const [begun] = await once(child.stdout!, 'data');
  t.is(String(begun), 'begun');
  const ended = once(child, 'exit');
  process.kill(-child.pid!, 'SIGKILL');
  t.deepEqual(await ended, [null, 'SIGKILL']);
  child.stdin!.write('x');
  const [done] = await once(child.stdout!, 'data');
  t.is(String(done), 'done');
});
