/** Programs with connections that are kept. */
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
