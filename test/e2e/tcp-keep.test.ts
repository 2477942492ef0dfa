/** TCP connections that are kept (`--tcp keep`): the other side notices a pause, and nothing else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { connectTo, freePort } from './harness/client.js';
import { holdOf, isHeld, letGo, testKeeping } from './harness/hold.js';
import { connections, orphans, serve, startPeer } from './harness/kept.js';
import { cli, script } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start, within } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

const KEEP = ['--tcp', 'keep', '--kill'] as const;
async function keep(t: ExecutionContext<unknown>, args: readonly string[]): Promise<void> {
  await roundTrip(t, {
    ...{ command: 'python3', args: [connections, ...args], goesOn: false, freeze: ['--tcp', 'keep'] },
    prepare: async (_, cwd) => letGo(t, join(cwd, 'frozen.bin')),
  });
}

for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
  testKeeping(['python3'], `connections in all states go on: ${host}`, async (t) => {
    await keep(t, ['states', host, ...(await startPeer(t))]);
  });
}

for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
  testKeeping(['python3', 'env'], `connections in all states go on signed by TCP MD5: ${host}`, async (t) => {
    const KEY = 'TCP_KEY=a secret of both';
    const states = [connections, 'states', host, ...(await startPeer(t, ['env', KEY]))];
    await roundTrip(t, {
      ...{ command: 'env', args: [KEY, 'python3', ...states], goesOn: false, freeze: ['--tcp', 'keep'] },
      prepare: async (_, cwd) => letGo(t, join(cwd, 'frozen.bin')),
    });
  });
}

for (const host of ['127.0.0.1', '::1']) {
  testKeeping(['python3'], `connections that are on their way in a socket go on: ${host}`, async (t) => {
    await keep(t, ['sent', host, ...(await startPeer(t))]);
  });
}

testKeeping(['python3'], 'numbers in both directions come without a gap and without a repeat', async (t) => {
  const [port] = await startPeer(t);
  await keep(t, ['stream', '127.0.0.1', port!]);
});

/** Checks a download of {@link download.mjs} as it comes. */
class Download {
  #rest = Buffer.alloc(0);
  #next = 0;
  #ended = false;

  constructor(readonly response: IncomingMessage) {
    response.on('data', (data: Buffer) => this.#take(data));
    response.on('end', () => {
      this.#ended = true;
    });
  }

  #take(data: Buffer): void {
    const bytes = Buffer.concat([this.#rest, data]);
    const whole = bytes.length & ~3;
    for (let at = 0; at < whole; at += 4) {
      if (bytes.readUInt32LE(at) !== this.#next++) throw new Error(`word ${this.#next - 1} differs`);
    }
    this.#rest = bytes.subarray(whole);
  }

  get bytes(): number {
    return this.#next * 4 + this.#rest.length;
  }

  async until(bytes: number): Promise<void> {
    await within(
      (async () => {
        while (this.bytes < bytes && !this.#ended) await pause(5);
      })(),
      () => `${this.bytes} of ${bytes} bytes came`,
    );
  }
}

testKeeping([], 'a download from a Node.js server that is frozen in its midst is whole', async (t) => {
  const size = 64 << 20;
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  letGo(t, image);
  const port = await freePort();
  const server = start(t, process.execPath, [script('scripts/download.mjs'), String(port), String(size)], {
    cwd,
  });
  await server.ready();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ port, host: '127.0.0.1', agent: false }, resolve).on('error', reject);
  });
  t.teardown(() => response.destroy());
  const download = new Download(response);
  await download.until(4 << 20);
  response.pause();
  await freeze(server.pid, image, KEEP, { cwd });
  t.true(download.bytes < size / 2, 'it is frozen before the end');
  response.resume();
  const thawed = start(t, image, [], { cwd });
  await download.until(size);
  t.is(download.bytes, size);
  t.is(thawed.stderr, '');
});

testKeeping(['python3'], 'an image is thawed once, and says so the second time', async (t) => {
  const { cwd, image, server, client } = await serve(t);
  const { warnings } = await freeze(server.pid, image, KEEP, { cwd });
  const hold = await holdOf(image);
  t.true(isHeld(hold), 'the connections are held');
  t.regex(warnings.join('\n'), new RegExp(`nft delete table inet ${hold}`), 'and how to end that is told');
  const info = await run(image, ['--info'], { cwd });
  t.regex(info.stdout, new RegExp(`nftables table inet ${hold}`));
  const inspected = await proc2elf(['inspect', image], { cwd });
  t.regex(inspected.stdout, new RegExp(`nftables table inet ${hold}`));
  t.regex(inspected.stdout, /connection 127\.0\.0\.1:\d+ to 127\.0\.0\.1:\d+, established/);
  const tried = await run(image, ['--check'], { cwd });
  t.is(tried.code, 0, tried.stderr);
  const thawed = start(t, image, [], { cwd });
  await client.ask('next\n', /^answer 2\n/);
  t.false(isHeld(hold), 'nothing holds them any more');
  const again = await run(image, [], { cwd });
  t.is(again.code, 125);
  t.regex(again.stderr, /^frozen\.bin: cannot go on with TCP connections: nothing holds them [^\n]*\n$/m);
  await client.ask('next\n', /^answer 3\n/);
  t.is(thawed.stderr, '');
});

const WITHOUT = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'] as const;

testKeeping(['python3', 'setpriv'], 'without CAP_NET_ADMIN nothing is done', async (t) => {
  const { cwd, image, server, client } = await serve(t);
  const refused = await proc2elf([String(server.pid), '-o', image, ...KEEP], { cwd }, WITHOUT);
  t.is(refused.code, 1);
  t.is(refused.stderr, 'proc2elf: --tcp keep needs CAP_NET_ADMIN: run as root\n');
  await client.ask('next\n', /^answer 2\n/);
  await freeze(server.pid, image, KEEP, { cwd });
  const hold = await holdOf(image);
  for (const option of [[], ['--check']]) {
    const failed = await run(WITHOUT[0], [...WITHOUT.slice(1), image, ...option], { cwd });
    t.is(failed.code, 125);
    t.regex(failed.stderr, /^frozen\.bin: [^\n]*CAP_NET_ADMIN[^\n]*\n/);
    t.true(isHeld(hold), 'the connections are still held');
  }
  start(t, image, [], { cwd });
  await client.ask('next\n', /^answer 3\n/);
});

testKeeping(['python3'], 'a connection is in one place only', async (t) => {
  const { cwd, image, server, client } = await serve(t);
  const refused = await proc2elf([String(server.pid), '-o', image, '--tcp', 'keep'], { cwd });
  t.is(refused.code, 2);
  t.regex(refused.stderr, /^proc2elf: --tcp keep needs --kill or --stop: [^\n]*\n$/);
  await client.ask('next\n', /^answer 2\n/);
});

const passing = `
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
connection = listener.accept()[0]
one, other = socket.socketpair()
socket.send_fds(one, [b"m"], [connection.fileno()])
connection.close()
print("ready", flush=True)
sys.stdin.readline()
_, [fd], _, _ = socket.recv_fds(other, 1, 1)
socket.socket(fileno=fd).sendall(b"received\\n")
print("ok")
`;

/** Starts a freeze that is held in its midst, as nobody reads the image; what kills the tool. */
async function freezeForever(t: ExecutionContext<unknown>, pid: number): Promise<() => Promise<unknown>> {
  const tool = spawn(process.execPath, [cli, String(pid), '-o', '-', ...KEEP], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.teardown(() => tool.kill('SIGKILL'));
  const ended = once(tool, 'exit');
  await within(once(tool.stdout, 'readable'), () => 'no image comes');
  return () => {
    tool.kill('SIGKILL');
    return ended;
  };
}

async function pass(t: ExecutionContext<unknown>) {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  letGo(t, image);
  const port = await freePort();
  const server = start(t, 'python3', ['-c', passing, String(port)], { cwd });
  const client = await connectTo(t, port);
  await server.ready();
  return { cwd, image, port, server, client };
}

testKeeping(['python3'], 'a connection on its way in a socket is closed without a word', async (t) => {
  const { cwd, image, port, server, client } = await pass(t);
  await freeze(server.pid, image, KEEP, { cwd });
  t.deepEqual(orphans(port), []);
  const answer = client.ask('', /^received\n/);
  await start(t, image, [], { cwd }).goAndExpectOk();
  await answer;
});

testKeeping(['python3'], 'the tool is killed: a connection on its way in a socket goes on', async (t) => {
  const { server, client } = await pass(t);
  const kill = await freezeForever(t, server.pid);
  await kill();
  server.send('go\n');
  await client.ask('', /^received\n/);
  await server.expectOk();
  t.pass();
});

testKeeping(['python3'], 'the tool is killed while connections are held: they go on', async (t) => {
  const { cwd, image, server, client } = await serve(t);
  const kill = await freezeForever(t, server.pid);
  const answer = client.ask('next\n', /^answer 2\n/);
  await kill();
  await answer;
  await freeze(server.pid, image, KEEP, { cwd });
  start(t, image, [], { cwd });
  await client.ask('next\n', /^answer 3\n/);
  t.pass();
});
