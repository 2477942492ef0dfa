/** Connections that are kept of a process that is left stopped (`--tcp keep --stop`): in one place, whichever. */
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { askNetfilter } from '../../src/native/nfnetlink.js';
import { removeTable } from '../../src/nftables.js';
import { holdOf, isHeld, letGo, testKeeping } from './harness/hold.js';
import { connections, orphans, serve, startPeer } from './harness/kept.js';
import { type Running, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

const KEEP = ['--tcp', 'keep', '--stop'] as const;

function stateOf(pid: number): string | undefined {
  return /^State:\s(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
}

async function end(running: Running): Promise<void> {
  running.signal('SIGKILL');
  await running.ending();
}

testKeeping(
  ['python3'],
  'a process that was left stopped goes on, once nothing holds its connections',
  async (t) => {
    for (const continued of ['before', 'after'] as const) {
      const { cwd, image, server, client } = await serve(t);
      const { warnings } = await freeze(server.pid, image, KEEP, { cwd });
      const hold = await holdOf(image);
      t.is(stateOf(server.pid), 'T');
      t.true(isHeld(hold));
      t.regex(
        warnings.at(-1)!,
        new RegExp(
          `^process ${server.pid} still has .*nft delete table inet ${hold}; kill -CONT ${server.pid}`,
        ),
      );
      const answer = client.ask('next\n', /^answer 2\n/);
      if (continued === 'before') server.signal('SIGCONT');
      askNetfilter(removeTable(hold));
      if (continued === 'after') server.signal('SIGCONT');
      await answer;
      await client.ask('next\n', /^answer 3\n/);
      const refused = await run(image, [], { cwd });
      t.is(refused.code, 125);
      t.regex(
        refused.stderr,
        /^frozen\.bin: cannot go on with TCP connections: nothing holds them [^\n]*\n$/,
      );
      await client.ask('next\n', /^answer 4\n/);
    }
  },
);

testKeeping(
  ['python3'],
  'while the stopped process is there its image refuses, then it goes on',
  async (t) => {
    const { cwd, image, port, server, client } = await serve(t);
    await freeze(server.pid, image, KEEP, { cwd });
    const hold = await holdOf(image);
    const line = new RegExp(
      `^frozen\\.bin: cannot make the TCP connection 127\\.0\\.0\\.1:${port} to 127\\.0\\.0\\.1:\\d+ \\(descriptor \\d+, TCP socket\\): ` +
        `process ${server.pid} still has it: end it before [^\\n]*\\n`,
    );
    for (const option of [[], ['--check']]) {
      const refused = await run(image, option, { cwd });
      t.is(refused.code, 125);
      t.regex(refused.stderr, line);
      t.is(stateOf(server.pid), 'T');
      t.true(isHeld(hold));
    }
    await end(server);
    t.is(orphans(port).length, 1, 'the kernel has yet to end the connection');
    const checked = await run(image, ['--check'], { cwd });
    t.is(checked.code, 0, checked.stderr);
    t.is(orphans(port).length, 1, 'a test removes nothing');
    const thawed = start(t, image, [], { cwd });
    await client.ask('next\n', /^answer 2\n/);
    t.false(isHeld(hold));
    t.deepEqual(orphans(port), []);
    await client.ask('next\n', /^answer 3\n/);
    t.is(thawed.stderr, '');
  },
);

for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
  testKeeping(
    ['python3'],
    `connections in all states go on after the stopped process has ended: ${host}`,
    (t) => states(t, host, 'lo'),
  );
}

testKeeping(['python3'], 'so do those that were on their way in a socket', (t) =>
  states(t, '127.0.0.1', 'lo', [], [], 'sent'),
);

for (const host of ['10.9.0.2', 'fd00::2']) {
  testKeeping(
    ['python3', 'ip', 'unshare', 'nsenter'],
    `the same with a peer on another host: ${host}`,
    async (t) => {
      const [here, there] = await connectHosts(t);
      await states(t, host, 'here', here, there);
    },
  );
}

/** Two network namespaces that are connected by interfaces, `here` and `there`: what runs programs in each. */
async function connectHosts(t: ExecutionContext<unknown>): Promise<[string[], string[]]> {
  const cwd = scratch(t);
  const names = ['here', 'there'] as const;
  const hosts = names.map(() => start(t, 'unshare', ['-n', 'sleep', 'infinity'], { cwd }).pid);
  for (const pid of hosts) {
    while (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net')) await pause(5);
  }
  const within = (index: number) => ['nsenter', '-n', '-t', String(hosts[index])];
  const ip = async (index: number, line: string): Promise<void> => {
    const [command, ...args] = [...within(index), 'ip', ...line.split(' ')];
    const { code, stderr } = await run(command!, args, { cwd });
    t.is(code, 0, stderr);
  };
  await ip(0, `link add here type veth peer name there netns ${hosts[1]}`);
  for (const [index, name] of names.entries()) {
    await ip(index, `addr add 10.9.0.${index + 1}/24 dev ${name}`);
    await ip(index, `addr add fd00::${index + 1}/64 dev ${name} nodad`);
    for (const each of ['lo', name]) await ip(index, `link set ${each} up`);
  }
  return [within(0), within(1)];
}

async function states(
  t: ExecutionContext<unknown>,
  host: string,
  device: string,
  here: readonly string[] = [],
  there: readonly string[] = [],
  mode: 'states' | 'sent' = 'states',
): Promise<void> {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  letGo(t, image);
  const startHere = (...line: readonly string[]): Running => {
    const [command, ...args] = [...here, ...line];
    return start(t, command!, args, { cwd });
  };
  const ports = await startPeer(t, there);
  const original = startHere('python3', connections, mode, host, ...ports, device);
  await original.ready();
  await freeze(original.pid, image, KEEP, { cwd }, here);
  await end(original);
  const thawed = startHere(image);
  await thawed.goAndExpectOk();
  t.is(thawed.stderr, '');
}
