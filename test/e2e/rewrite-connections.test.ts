/** Images whose connections are let go of by rewriting, or were at the freeze. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectTo } from './harness/client.js';
import { holdOf, isHeld, testKeeping } from './harness/hold.js';
import { serve } from './harness/kept.js';
import { testWith } from './harness/needs.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

/** Rewrites `from` into `other.bin`. */
function rewrite(cwd: string, from: string, ...options: readonly string[]) {
  return proc2elf(['rewrite', from, '-o', 'other.bin', ...options], { cwd });
}

testKeeping(
  ['python3'],
  'connections that are kept are closed in another image, and go on in the first',
  async (t) => {
    const { cwd, image, port, server, client } = await serve(t);
    const other = join(cwd, 'other.bin');
    await freeze(server.pid, image, ['--tcp', 'keep', '--kill'], { cwd });
    const hold = await holdOf(image);
    const same = await rewrite(cwd, 'frozen.bin', '--tcp', 'keep');
    t.deepEqual([same.code, same.stderr], [0, '']);
    t.true(readFileSync(image).equals(readFileSync(other)));

    const closed = await rewrite(cwd, 'frozen.bin', '--tcp', 'close');
    t.is(closed.code, 0);
    const [connection, table, ...rest] = closed.stderr.split('\n');
    t.regex(
      connection!,
      /^proc2elf: warning: descriptor \d+ \(TCP\): the connection from 127\.0\.0\.1:\d+ to .* closed by its peer$/,
    );
    t.regex(table!, new RegExp(`^proc2elf: warning: .*: nft delete table inet ${hold}$`));
    t.deepEqual(rest, ['']);
    const inspected = await proc2elf(['inspect', 'other.bin'], { cwd });
    t.regex(inspected.stdout, /a connection that is closed, 0 bytes unread, let go of/);
    t.notRegex(inspected.stdout, /nftables/);
    const back = await proc2elf(['rewrite', 'other.bin', '-o', 'third.bin', '--tcp', 'keep'], { cwd });
    t.is(back.code, 1);
    t.regex(back.stderr, /^proc2elf: descriptor \d+ \(TCP\) cannot be carried: it was closed at the freeze/);
    t.false(existsSync(join(cwd, 'third.bin')));

    const thawed = start(t, other, ['--pid=new'], { cwd });
    t.is(await thawed.line(), 'closed', 'the server finds its client gone');
    await (await connectTo(t, port)).ask('next\n', /^answer 2\n/);
    t.is(thawed.stderr, '');
    t.true(isHeld(hold));
    await thawed.end();

    const resumed = start(t, image, ['--pid=new'], { cwd });
    await client.ask('next\n', /^answer 2\n/);
    t.is(resumed.stderr, '');
    t.false(isHeld(hold));
  },
);

const peers = `
import os, pty, socket, sys
m, s = pty.openpty(); a, b = socket.socketpair(); b.send(b"had arrived")
if os.fork() == 0:
    os.close(m); a.close(); b.recv(1); os._exit(0)
os.close(s); b.close()
print("ready", flush=True)
sys.stdin.readline()
assert a.recv(100) == b"had arrived" and a.recv(100) == b""
try: os.read(m, 1)
except OSError as error: assert error.errno == 5, error
else: raise AssertionError("the slave is there")
print("ok")
`;

testWith(['python3'], 'an image that has let go of peers is refused to whoever wants them', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, 'python3', ['-c', peers], { cwd });
  await original.ready();
  const close = ['--unix-peer', 'close', '--pty-peer', 'close'];
  await freeze(original.pid, image, ['--kill', '--drop-children', ...close], { cwd });
  const [socket, master] = [
    /^proc2elf: descriptor 5 \(socket\) cannot/,
    /^proc2elf: descriptor 3 \(pseudoterm/,
  ];
  for (const [option, line] of [
    ['--unix-peer', socket],
    ['--pty-peer', master],
  ] as const) {
    const refused = await rewrite(cwd, 'frozen.bin', option, 'refuse');
    t.is(refused.code, 1);
    t.regex(refused.stderr, line);
    t.regex(refused.stderr, new RegExp(`\\(${option} close\\).*use --drop-fd [35],`));
    t.false(existsSync(join(cwd, 'other.bin')));
  }
  const without = await rewrite(cwd, 'frozen.bin', '--unix-peer', 'refuse', '--drop-fd', '5');
  t.is(without.code, 0, without.stderr);
  const wrong = await rewrite(cwd, 'frozen.bin', '--unix-peer', 'keep');
  t.is(wrong.code, 2);
  const written = await rewrite(cwd, 'frozen.bin', ...close);
  t.is(written.code, 0, written.stderr);
  await start(t, join(cwd, 'other.bin'), ['--pts=new'], { cwd }).goAndExpectOk();
  const checked = await run(image, ['--check', '--pts=new'], { cwd });
  t.is(checked.code, 0, checked.stderr);
});
