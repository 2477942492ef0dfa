/** A Node.js server with much at once: keep-alive connections, a WebSocket, a watched folder, timers, a child. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Client, connectTo, freePort } from './harness/client.js';
import { testWith } from './harness/needs.js';
import { script } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf } from './harness/tool.js';

/** Opens a WebSocket (RFC 6455). */
async function openWebSocket(t: ExecutionContext<unknown>, port: number): Promise<Client> {
  const client = await connectTo(t, port);
  const key = randomBytes(16).toString('base64');
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  const upgrade = 'Host: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13';
  const answer = await client.ask(
    `GET / HTTP/1.1\r\n${upgrade}\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    /^.*?\r\n\r\n/s,
  );
  t.true(answer.includes(`Sec-WebSocket-Accept: ${accept}\r\n`), answer);
  return client;
}

/** A masked text frame; the mask of zeros leaves the text as it is. */
function frame(text: string): Uint8Array {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

testWith([], 'Node.js with all that it has at once goes on', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const folder = join(cwd, 'watched');
  mkdirSync(folder);
  const port = await freePort();
  const original = start(t, process.execPath, [script('scripts/many.mjs'), String(port), folder], { cwd });
  await original.ready();
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`;
  const kept = await connectTo(t, port);
  await kept.ask(get('/'), /request 1, \d+ ticks\n/);
  await kept.ask(get('/child'), /child says hello\n/);
  const ticks = Number(/(\d+) ticks/.exec(await kept.ask(get('/'), /request 2, \d+ ticks\n/))?.[1]);
  const socket = await openWebSocket(t, port);
  await socket.ask(frame('before'), /1 before$/);
  writeFileSync(join(folder, 'one'), '');
  t.is(await original.line(), 'changed one');

  const refused = await proc2elf([String(original.pid), '-o', image], { cwd });
  t.is(refused.code, 1);
  t.regex(refused.stderr, /child.*--drop-children/);
  const left = ['--drop-children', '--unix-peer', 'close'];
  await freeze(original.pid, image, ['--kill', ...left], { cwd });
  await Promise.all([kept.closed(), socket.closed()]);

  const thawed = start(t, image, [], { cwd });
  const client = await connectTo(t, port);
  const later = /request 3, (\d+) ticks\n/;
  t.true(Number(later.exec(await client.ask(get('/'), later))?.[1]) >= ticks);
  const next = await openWebSocket(t, port);
  await next.ask(frame('after'), /2 after$/);
  await thawed.seen(/^WebSocket closes\n/m);
  await thawed.seen(/^child ends\n/m);
  writeFileSync(join(folder, 'two'), '');
  await thawed.seen(/^changed two\n/m);
  const count = /request 4, (\d+) ticks\n/;
  t.true(Number(count.exec(await client.ask(get('/'), count))?.[1]) > ticks);
  t.is(thawed.stderr, '');
});
