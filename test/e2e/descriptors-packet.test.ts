import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import { ownNetwork } from '../thaw/descriptors/network.js';
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

test.serial('packet sockets come back with options, filters, memberships and fanout group', async (t) => {
  if (!ownNetwork(t)) return;
  await roundTrip(t, { command: target('packets') });
});

test.serial('a ring in memory goes on with the block that comes next, again and again', async (t) => {
  if (!ownNetwork(t)) return;
  await roundTrip(t, { command: target('packet-rings') });
  await roundTrip(t, { command: target('packet-rings'), goesOn: false, generations: 3 });
});

testWith(['tcpdump'], 'tcpdump goes on with what it captures', async (t) => {
  if (!ownNetwork(t)) return;
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const say = async (text: string) => {
    const socket = createSocket('udp4');
    await new Promise((resolve) => socket.send(text, 4711, '127.0.0.1', resolve));
    socket.close();
  };
  const capturing = ['-i', 'lo', '-Z', 'root', '-U', '-w', '-', 'udp port 4711'];
  const original = start(t, 'tcpdump', capturing, { cwd });
  await untilCapturing();
  await say('first');
  await original.seen(/first/);
  await say('second');
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();

  const thawed = start(t, image, [], { cwd });
  await untilCapturing();
  await say('third');
  await thawed.seen(/third/);
  await say('fourth');
  await thawed.seen(/fourth/);
  thawed.signal('SIGINT');
  t.is((await thawed.ending()).code, 0);
  const shown = (original.stdout + thawed.stdout).match(/first|second|third|fourth/g);
  t.deepEqual(shown, ['first', 'second', 'third', 'fourth']);
  t.regex(thawed.stderr, /packets captured/);
});

/** Waits for a packet socket that packets reach, of which there are no others here. */
async function untilCapturing(): Promise<void> {
  const isRunning = /^\S+\s+\d+\s+\d+\s+0003\s+\d+\s+1\s/m;
  while (!isRunning.test(readFileSync('/proc/thread-self/net/packet', 'latin1'))) await pause(5);
}
