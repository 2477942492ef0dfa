/** Programs with connections that are kept. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { connectTo, freePort } from './client.js';
import { letGo } from './hold.js';
import { script } from './paths.js';
import { start } from './running.js';
import { scratch } from './scratch.js';

/** A program with connections in all states; see there. */
export const connections = script('scripts/connections.py');

/** Starts the other side; its two ports. */
export async function startPeer(t: ExecutionContext<unknown>, as: readonly string[] = []): Promise<string[]> {
  const [command, ...args] = [...as, 'python3', connections, 'peer'];
  const peer = start(t, command!, args, { cwd: scratch(t) });
  return (await peer.line()).split(' ');
}

/** A server with one client, whose first request was answered. */
export async function serve(t: ExecutionContext<unknown>) {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  letGo(t, image);
  const port = await freePort();
  const server = start(t, 'python3', [script('scripts/serve.py'), 'lines', String(port)], { cwd });
  await server.ready();
  const client = await connectTo(t, port);
  await client.ask('next\n', /^answer 1\n/);
  return { cwd, image, port, server, client };
}

/** The lines of connections in /proc/net from a port that no process has any more. */
export function orphans(port: number): string[] {
  const number = port.toString(16).toUpperCase().padStart(4, '0');
  const own = new RegExp(`^ *\\d+: \\w+:${number} \\w+:(?!0000)\\w+ \\w\\w \\S+ \\S+ \\S+ +\\d+ +\\d+ 0 `);
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .filter((line) => own.test(line));
}
