/** Connections that are kept of a process that is left stopped (`--tcp keep --stop`): in one place, whichever. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { askNetfilter } from '../../src/native/nfnetlink.js';
import { removeTable } from '../../src/nftables.js';
import { holdOf, isHeld, letGo, testKeeping } from './harness/hold.js';
import { connections, serve, startPeer } from './harness/kept.js';
import { type Running, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

const KEEP = ['--tcp', 'keep', '--stop'] as const;

function stateOf(pid: number): string | undefined {
  return /^State:\s(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
}

/** The lines of connections in /proc/net that no process has any more, between these ports. */
function orphans(port: number): string[] {
  const number = port.toString(16).toUpperCase().padStart(4, '0');
  const own = new RegExp(`^ *\\d+: \\w+:${number} \\w+:(?!0000)\\w+ \\w\\w \\S+ \\S+ \\S+ +\\d+ +\\d+ 0 `);
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .filter((line) => own.test(line));
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
      `^frozen\\.bin: cannot make the TCP connection 127\\.0\\.0\\.1:${port} to 127\\.0\\.0\\.1:\\d+ \\(descriptor \\d+\\): ` +
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
    (t) => states(t, host),
  );
}

async function states(t: ExecutionContext<unknown>, host: string): Promise<void> {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  letGo(t, image);
  const args = [connections, 'states', host, ...(await startPeer(t))];
  const original = start(t, 'python3', args, { cwd });
  await original.ready();
  await freeze(original.pid, image, KEEP, { cwd });
  await end(original);
  const thawed = start(t, image, [], { cwd });
  await thawed.goAndExpectOk();
  t.is(thawed.stderr, '');
}
