/** Servers under load: what they had acknowledged is there, and the work goes on. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Client, connectTo, freePort } from './harness/client.js';
import { testWith } from './harness/needs.js';
import { script } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

/** Keys that are there before the load begins. */
const KEYS = 100_000;
const WRITERS = 8;

/** A redis command in the form that has no limit. */
function redis(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

const fill = `for i = 1, ${KEYS} do redis.call('SET', 'key:' .. i, 'value:' .. i) end return ${KEYS}`;
const wrong = `local wrong = 0
  for i = 1, ${KEYS} do if redis.call('GET', 'key:' .. i) ~= 'value:' .. i then wrong = wrong + 1 end end
  for writer = 1, #ARGV do for i = 1, ARGV[writer] do
    if redis.call('GET', 'writer:' .. writer .. ':' .. i) ~= tostring(i) then wrong = wrong + 1 end
  end end
  return wrong`;

testWith(['redis-server'], 'redis keeps every write that it has acknowledged', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--appendonly', 'yes', '--save', ''];
  const original = start(t, 'redis-server', options, { cwd });
  const observer = await connectTo(t, port);
  await observer.ask(redis('EVAL', fill, '0'), /^:100000\r\n/);
  const acknowledged = Array.from({ length: WRITERS }, () => 0);
  const write = async (client: Client, writer: number): Promise<void> => {
    for (let next = 1; ; next++) {
      await client.ask(redis('SET', `writer:${writer + 1}:${next}`, String(next)), /^\+OK\r\n/);
      acknowledged[writer] = next;
    }
  };
  const writers = await Promise.all(acknowledged.map(() => connectTo(t, port)));
  const writing = writers.map((client, writer) => t.throwsAsync(write(client, writer)));
  while (Number((await observer.ask('DBSIZE\r\n', /^:\d+\r\n/)).slice(1)) < KEYS + 100);
  await freeze(original.pid, image, ['--kill'], { cwd });
  await Promise.all(writing);
  await observer.closed();
  t.true(acknowledged.reduce((sum, count) => sum + count) >= 100 - WRITERS);

  const thawed = start(t, image, [], { cwd });
  const client = await connectTo(t, port);
  const check = redis('EVAL', wrong, '0', ...acknowledged.map(String));
  t.is(await client.ask(check, /^:\d+\r\n/), ':0\r\n');
  await client.ask('SET after thaw\r\n', /^\+OK\r\n/);
  await client.ask('INFO clients\r\n', /connected_clients:1\r\n/);
  await client.ask('SHUTDOWN\r\n', /^/);
  t.is((await thawed.ending()).code, 0);

  start(t, 'redis-server', options, { cwd });
  const reader = await connectTo(t, port);
  const ask = () => reader.ask(check, /^(:\d+|-LOADING.*)\r\n/);
  let found = await ask();
  while (found.startsWith('-LOADING')) found = await ask();
  t.is(found, ':0\r\n', 'all of it is in the file');
  await reader.ask('GET after\r\n', /^\$4\r\nthaw\r\n/);
});

testWith(['nginx', 'ab'], 'nginx serves a file on', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const port = await freePort();
  const file = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
  mkdirSync(join(cwd, 'html'));
  writeFileSync(join(cwd, 'html', 'file'), file);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (of) => `${of}_temp_path ${of};`,
  );
  writeFileSync(
    join(cwd, 'nginx.conf'),
    `daemon off; master_process off; pid nginx.pid; error_log error.log; user root;
     events {} http { access_log access.log; ${temporary.join(' ')}
     server { listen 127.0.0.1:${port}; root html; } }`,
  );
  const original = start(t, 'nginx', ['-p', `${cwd}/`, '-c', 'nginx.conf', '-e', 'error.log'], { cwd });
  await connectTo(t, port);
  const url = `http://127.0.0.1:${port}/file`;
  // As many requests as it takes; -r: a connection that is lost ends nothing.
  const load = start(t, 'ab', ['-q', '-k', '-r', '-c', '8', '-n', '10000000', url], { cwd });
  while (statSync(join(cwd, 'access.log')).size === 0) await pause(10);
  const { warnings } = await freeze(original.pid, image, ['--kill'], { cwd });
  // One is ours; of the others any may just have been closed, to be made again.
  t.true(warnings.length >= 2, warnings.join('\n'));
  await load.end();

  const thawed = start(t, image, [], { cwd });
  await connectTo(t, port);
  const served = await run('ab', ['-q', '-k', '-c', '8', '-n', '200', url], { cwd });
  t.regex(served.stdout, /^Complete requests: +200$/m, served.stderr);
  t.regex(served.stdout, /^Failed requests: +0$/m);
  t.deepEqual(Buffer.from(await (await fetch(url)).arrayBuffer()), file);
  thawed.signal('SIGQUIT'); // nginx ends when all is done
  t.is((await thawed.ending()).code, 0);
});

testWith(['curl'], 'a server with a thousand connections finds all of them closed', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const port = await freePort();
  const original = start(t, process.execPath, [script('scripts/serve.mjs'), String(port)], { cwd });
  await original.ready();
  const clients = await Promise.all(Array.from({ length: 1000 }, () => connectTo(t, port)));
  const request = 'GET / HTTP/1.1\r\nHost: here\r\n\r\n';
  await Promise.all(clients.map((client) => client.ask(request, /answer \d+\n/)));
  const { warnings } = await freeze(original.pid, image, ['--kill'], { cwd });
  t.is(warnings.filter((line) => /^descriptor \d+ \(TCP, .*closed by its peer$/.test(line)).length, 1000);
  await Promise.all(clients.map((client) => client.closed()));

  const thawed = start(t, image, [], { cwd });
  await connectTo(t, port);
  const { stdout } = await run('curl', ['-sS', `http://127.0.0.1:${port}/`], { cwd });
  t.is(stdout, 'answer 1001\n');
  for (let i = 0; i < 1000; i++) await thawed.line();
  t.is(thawed.stderr, '');
});
