/** Servers under load: what they had acknowledged is there, and the work goes on. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectTo, freePort } from './harness/client.js';
import { testWith } from './harness/needs.js';
import { script } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

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
