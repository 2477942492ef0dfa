/** Servers, frozen with a client connected: the old client is let go of, new ones are served. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { connectTo, freePort } from './harness/client.js';
import { testWith } from './harness/needs.js';
import { script } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

const HTTP = 'GET / HTTP/1.1\r\nHost: here\r\n\r\n';

/** Takes a server that counts requests through freeze, end and thaw. */
async function serve(
  t: ExecutionContext<unknown>,
  command: string,
  args: readonly string[],
  request: string,
): Promise<void> {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const port = await freePort();
  const original = start(t, command, [...args, String(port)], { cwd });
  await original.ready();
  const client = await connectTo(t, port);
  await client.ask(request, /answer 1\n/);
  await client.ask(request, /answer 2\n/);
  const report = await freeze(original.pid, image, ['--kill'], { cwd });
  t.regex(report.warnings.join('\n'), /^descriptor \d+ \(TCP, .*closed by its peer$/);
  await client.closed();
  t.is((await original.ending()).signal, 'SIGKILL');

  const thawed = start(t, image, [], { cwd });
  const other = await connectTo(t, port);
  await other.ask(request, /answer 3\n/);
  t.is(await thawed.line(), 'closed', 'the server sees that the old client has gone');
  await other.ask(request, /answer 4\n/);
  t.is(thawed.stderr, '');
  t.is(thawed.stdout, 'closed\n', 'the new client stays');
}

testWith(['python3'], "CPython's http.server, with a thread for each client, serves on", (t) =>
  serve(t, 'python3', [script('scripts/serve.py'), 'http'], HTTP),
);

testWith(['python3'], 'an asyncio server serves on', (t) =>
  serve(t, 'python3', [script('scripts/serve.py'), 'lines'], 'next\n'),
);

testWith([], 'a Node.js HTTP server serves on', (t) =>
  serve(t, process.execPath, [script('scripts/serve.mjs')], HTTP),
);

/** A redis command in the form that has no limit. */
function redis(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

testWith(['redis-server'], 'redis keeps every write that it has acknowledged', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--appendonly', 'yes', '--save', ''];
  const original = start(t, 'redis-server', options, { cwd });
  const writer = await connectTo(t, port);
  let acknowledged = 0;
  const write = async (): Promise<void> => {
    for (;;) {
      await writer.ask(`SET key:${acknowledged + 1} value:${acknowledged + 1}\r\n`, /^\+OK\r\n/);
      acknowledged++;
    }
  };
  const writing = t.throwsAsync(write());
  const observer = await connectTo(t, port);
  while (Number((await observer.ask('DBSIZE\r\n', /^:\d+\r\n/)).slice(1)) < 100);
  await freeze(original.pid, image, ['--kill'], { cwd });
  await writing;
  await observer.closed();
  t.true(acknowledged >= 99);

  const thawed = start(t, image, [], { cwd });
  const client = await connectTo(t, port);
  const keys = Array.from({ length: acknowledged }, (_, i) => `key:${i + 1}`);
  t.is(await client.ask(redis('EXISTS', ...keys), /^:\d+\r\n/), `:${acknowledged}\r\n`);
  await client.ask('SET after thaw\r\n', /^\+OK\r\n/);
  await client.ask('INFO clients\r\n', /connected_clients:1\r\n/);
  await client.ask('SHUTDOWN\r\n', /^/);
  t.is((await thawed.ending()).code, 0);

  start(t, 'redis-server', options, { cwd });
  const reader = await connectTo(t, port);
  const exists = async (): Promise<string> =>
    reader.ask(redis('EXISTS', 'after', ...keys), /^(:\d+|-LOADING.*)\r\n/);
  let found = await exists();
  while (found.startsWith('-LOADING')) found = await exists();
  t.is(found, `:${acknowledged + 1}\r\n`, 'all of it is in the file');
});
