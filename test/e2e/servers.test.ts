/** Servers, frozen with a client connected: the old client is let go of, new ones are served. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { connectTo, freePort } from './harness/client.js';
import { testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

const HTTP = 'GET / HTTP/1.1\r\nHost: here\r\n\r\n';

/** Takes a server that counts requests through freeze, end and thaw. `notices`: it says `closed` when a client goes. */
async function serve(
  t: ExecutionContext<unknown>,
  command: string,
  args: readonly string[],
  request: string,
  { notices = true } = {},
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
  if (notices) t.is(await thawed.line(), 'closed', 'the server sees that the old client has gone');
  await other.ask(request, /answer 4\n/);
  t.is(thawed.stderr, '');
  t.is(thawed.stdout, notices ? 'closed\n' : '', 'the new client stays');
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

testWith([target('serve')], 'a Go HTTP server serves on', (t) => serve(t, target('serve'), [], HTTP));

const java = ['-Xmx64m', '-cp', target('')];
const compiled = ['java', target('Serve.class')];

testWith(compiled, "Java's HttpServer serves on", (t) =>
  serve(t, 'java', [...java, 'Serve', 'http'], HTTP, { notices: false }),
);

testWith(compiled, 'a Java server with a selector serves on', (t) =>
  serve(t, 'java', [...java, 'Serve', 'lines'], 'next\n'),
);
