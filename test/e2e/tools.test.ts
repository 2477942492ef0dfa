/** Tools of every day, frozen in the middle of their work: what they make in the end is whole. */
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { testWith } from './harness/needs.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

for (const [how, meanwhile] of [
  ['-f', ''],
  ['-F', 'meanwhile\n'],
] as const) {
  testWith(['tail'], `tail ${how} follows on`, async (t) => {
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    const log = join(cwd, 'log');
    writeFileSync(log, 'one\n');
    const original = start(t, 'tail', ['-n', '+1', how, 'log'], { cwd });
    t.is(await original.line(), 'one');
    appendFileSync(log, 'two\n');
    t.is(await original.line(), 'two');
    // What is only read must not change until the image is run, unless the user names it.
    await freeze(original.pid, image, ['--kill', '--file', 'log=log'], { cwd });
    t.is(original.stdout, 'one\ntwo\n');
    appendFileSync(log, meanwhile);

    const thawed = start(t, image, ['--pid=new'], { cwd });
    let ended = false;
    void thawed.ending().finally(() => {
      ended = true;
    });
    // What was written before the file is watched is no event: it is read with what comes next.
    for (let line = 3; thawed.stdout === '' && !ended; line++) {
      appendFileSync(log, `${line}\n`);
      await pause(10);
    }
    appendFileSync(log, 'end\n');
    await thawed.seen(/^end\n$/m);
    t.is(`one\ntwo\n${thawed.stdout}`, readFileSync(log, 'utf8'));
    t.is(thawed.stderr, '');
  });
}

testWith(['dd'], 'dd goes on in the middle of a copy', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const content = randomBytes(1_000_000);
  writeFileSync(join(cwd, 'in'), content);
  const out = join(cwd, 'out');
  const original = start(t, 'dd', ['if=in', 'of=out', 'bs=1'], { cwd });
  while (!existsSync(out) || statSync(out).size === 0) await pause(1);
  original.signal('SIGSTOP'); // the tool takes longer to start than dd to end
  await freeze(original.pid, image, ['--kill'], { cwd });
  const copied = statSync(out).size;
  t.true(copied > 0 && copied < content.length, `${copied} bytes`);

  const thawed = start(t, image, ['--pid=new'], { cwd });
  t.is((await thawed.ending()).code, 0);
  t.regex(thawed.stderr, /^1000000\+0 records in\n1000000\+0 records out\n1000000 bytes/);
  t.true(readFileSync(out).equals(content));
});

testWith(['wget'], 'wget fetches the rest of a file by itself', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const content = randomBytes(3_000_000);
  const ranges: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const { range } = request.headers;
    ranges.push(range);
    const from = range === undefined ? 0 : Number(/^bytes=(\d+)-$/.exec(range)?.[1]);
    response.writeHead(range === undefined ? 200 : 206, {
      'Accept-Ranges': 'bytes',
      'Content-Length': content.length - from,
      ...(range === undefined
        ? {}
        : { 'Content-Range': `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    // The first time a part only, and the connection stays.
    if (range === undefined) response.write(content.subarray(0, 2_000_000));
    else response.end(content.subarray(from));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close().closeAllConnections());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
  const out = join(cwd, 'file');
  const original = start(t, 'wget', ['--no-config', '--no-proxy', '--waitretry=0', url], { cwd });
  while (!existsSync(out) || statSync(out).size === 0) await pause(10);
  await freeze(original.pid, image, ['--kill'], { cwd });

  const thawed = start(t, image, ['--pid=new'], { cwd });
  t.is((await thawed.ending()).code, 0, thawed.stderr);
  t.is(ranges.length, 2);
  t.regex(String(ranges[1]), /^bytes=\d+-$/);
  t.true(readFileSync(out).equals(content));
});
