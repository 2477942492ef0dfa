/** redis, frozen under load: what it has acknowledged is there, and kept connections notice a pause. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Client, connectTo, freePort } from './harness/client.js';
import { letGo, testKeeping } from './harness/hold.js';
import { testWith } from './harness/needs.js';
import { type Running, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

/** Keys that are there before the load begins. */
const KEYS = 100_000;
const WRITERS = 8;
const PROGRAMS = ['redis-server', 'redis-benchmark'] as const;

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

/** A server with {@link KEYS} keys, which notes down in a file what it is told. */
async function startServer(t: ExecutionContext<unknown>) {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--appendonly', 'yes', '--save', ''];
  const server = start(t, 'redis-server', options, { cwd });
  const observer = await connectTo(t, port);
  await observer.ask(redis('EVAL', fill, '0'), new RegExp(`^:${KEYS}\r\n`));
  return { cwd, image, port, options, server, observer };
}

/** A server that begins with what is in the file, once it has read it. */
async function startAgain(
  t: ExecutionContext<unknown>,
  { cwd, port, options }: Awaited<ReturnType<typeof startServer>>,
): Promise<Client> {
  start(t, 'redis-server', options, { cwd });
  const reader = await connectTo(t, port);
  while ((await reader.ask('GET none\r\n', /^(\$-1|-LOADING.*)\r\n/)).startsWith('-LOADING'));
  return reader;
}

/** Starts redis-benchmark: so many times `INCR count`, by 50 connections, each with one request under way. */
function load(t: ExecutionContext<unknown>, port: number, requests: number): Running {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-n', String(requests), 'INCR', 'count'];
  return start(t, 'redis-benchmark', args, { cwd: scratch(t) });
}

async function count(client: Client): Promise<number> {
  const answer = await client.ask('GET count\r\n', /^\$(-1|\d+\r\n\d+)\r\n/);
  return Number(/(\d+)\r\n$/.exec(answer)![1]);
}

/** Waits until a load is well under way, in which every connection has one request or answer after the other. */
async function underWay(client: Client): Promise<void> {
  while ((await count(client)) < 5000);
}

testWith(
  PROGRAMS,
  'redis keeps every write that it has acknowledged, and clients connect again',
  async (t) => {
    const all = await startServer(t);
    const { cwd, image, port, server, observer } = all;
    const acknowledged = Array.from({ length: WRITERS }, () => 0);
    const write = async (client: Client, writer: number): Promise<void> => {
      for (let next = 1; ; next++) {
        await client.ask(redis('SET', `writer:${writer + 1}:${next}`, String(next)), /^\+OK\r\n/);
        acknowledged[writer] = next;
      }
    };
    const writers = await Promise.all(acknowledged.map(() => connectTo(t, port)));
    const benchmark = load(t, port, 1_000_000_000);
    const writing = writers.map((client, writer) => t.throwsAsync(write(client, writer)));
    while (Number((await observer.ask('DBSIZE\r\n', /^:\d+\r\n/)).slice(1)) < KEYS + 100);
    await underWay(observer);
    const { warnings } = await freeze(server.pid, image, ['--kill'], { cwd });
    t.true(warnings.filter((line) => / closed by its peer/.test(line)).length >= 50 + WRITERS);
    await Promise.all(writing);
    await observer.closed();
    t.is((await benchmark.ending()).code, 1, 'it does not connect again');
    t.true(acknowledged.reduce((sum, each) => sum + each) >= 100 - WRITERS);

    const thawed = start(t, image, [], { cwd });
    const client = await connectTo(t, port);
    const check = redis('EVAL', wrong, '0', ...acknowledged.map(String));
    t.is(await client.ask(check, /^:\d+\r\n/), ':0\r\n');
    await client.ask('INFO clients\r\n', /connected_clients:1\r\n[\s\S]*?\r\n\r\n/);
    const before = await count(client);
    t.true(before >= 5000);
    const again = load(t, port, 20_000);
    t.is((await again.ending()).code, 0, again.stderr);
    t.is(await count(client), before + 20_000);
    await client.ask('SHUTDOWN\r\n', /^/);
    t.is((await thawed.ending()).code, 0);

    const reader = await startAgain(t, all);
    t.is(await reader.ask(check, /^:\d+\r\n/), ':0\r\n', 'all of it is in the file');
    t.is(await count(reader), before + 20_000);
  },
);

testKeeping(PROGRAMS, 'redis-benchmark goes on over the same connections, with --tcp keep', async (t) => {
  const all = await startServer(t);
  const { cwd, image, port, server, observer } = all;
  letGo(t, image);
  const requests = 500_000;
  const benchmark = load(t, port, requests);
  await underWay(observer);
  const { warnings } = await freeze(server.pid, image, ['--tcp', 'keep', '--kill'], { cwd });
  t.is(warnings.length, 1, warnings.join('\n'));
  const thawed = start(t, image, [], { cwd });
  const at = await count(observer);
  t.true(at >= 5000 && at < requests, `it was frozen at ${at} of ${requests}`);
  t.is((await benchmark.ending()).code, 0, benchmark.stderr);
  t.regex(benchmark.stdout, new RegExp(`^ +${requests} requests completed in `, 'm'));
  t.is(benchmark.stderr, '');
  t.is(await count(observer), requests, 'each request was carried out once');
  t.is(await observer.ask(redis('EVAL', wrong, '0'), /^:\d+\r\n/), ':0\r\n');
  await observer.ask('SHUTDOWN\r\n', /^/);
  t.is((await thawed.ending()).code, 0);
  t.is(thawed.stderr, '');

  const reader = await startAgain(t, all);
  t.is(await count(reader), requests, 'all of it is in the file');
  t.is(await reader.ask(redis('EVAL', wrong, '0'), /^:\d+\r\n/), ':0\r\n');
});

testKeeping(['redis-server'], 'MULTI goes on over the same connection, with --tcp keep', async (t) => {
  const { cwd, image, server, observer } = await startServer(t);
  letGo(t, image);
  for (let i = 1; i <= 1000; i++) await observer.ask(redis('INCR', 'count'), new RegExp(`^:${i}\r\n`));
  await observer.ask(redis('MULTI'), /^\+OK\r\n/);
  await observer.ask(redis('INCR', 'count'), /^\+QUEUED\r\n/);
  await freeze(server.pid, image, ['--tcp', 'keep', '--kill'], { cwd });
  const answer = observer.ask(redis('INCR', 'count'), /^\+QUEUED\r\n/);
  start(t, image, [], { cwd });
  await answer;
  await observer.ask(redis('EXEC'), /^\*2\r\n:1001\r\n:1002\r\n/);
  for (let i = 1003; i <= 2000; i++) await observer.ask(redis('INCR', 'count'), new RegExp(`^:${i}\r\n`));
  t.pass();
});
