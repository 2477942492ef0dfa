/** Contexts of asynchronous input and output (io_setup), which are read in the kernel: that takes root. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { captureAio } from '../../src/proc/aio.js';
import { readMappings } from '../../src/proc/maps.js';
import { isAioRing } from '../../src/proc/regions.js';
import type { AioContext } from '../../src/snapshot/aio-context.js';
import { testAsRoot } from './harness/needs.js';
import { target } from './harness/paths.js';
import { asUser, nobody, roundTrip } from './harness/round-trip.js';
import { childrenOf, start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

const command = target('aio');
const RING =
  'the memory at [0-9a-f]+-[0-9a-f]+ rw-s /\\[aio\\] \\(deleted\\) is the ring of an AIO context \\(io_setup\\) that';

testAsRoot('contexts come back with their events and go on behind them', async (t) => {
  await roundTrip(t, { command, thaw: ['--lazy'] });
  await roundTrip(t, { command, goesOn: false, generations: 3 });
});

testAsRoot('the kernel has of a thawed context what it had of the frozen one', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, command, [], { cwd });
  await original.ready();
  const before = contextsOf(original.pid);
  t.is(before.length, 8);
  t.deepEqual(
    before.map(({ id }) => id),
    [0, 2, 3, 4, 5, 6, 7, 8],
  );
  await freeze(original.pid, image, [], { cwd });
  const checked = await run(image, ['--check'], { cwd });
  t.deepEqual(checked, { code: 0, stdout: 'this image can be thawed here\n', stderr: '' });
  const thawed = start(t, image, ['--pid=new'], { cwd });
  let after: readonly AioContext[] = [];
  // Until it is the program, and not what thaws it.
  while (!isReading(thawed.pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  after = contextsOf(thawed.pid);
  t.deepEqual(after, before);
  await original.goAndExpectOk();
  await thawed.goAndExpectOk();
});

function isReading(pid: number): boolean {
  return /^0 0x0 /.test(readFileSync(`/proc/${pid}/syscall`, 'utf8'));
}

function contextsOf(pid: number): readonly AioContext[] {
  const { contexts, problems, passing } = captureAio(
    pid,
    readMappings(pid, 'smaps').filter(({ path }) => isAioRing(path)),
  );
  if (problems.length + passing.length > 0) throw new Error([...problems, ...passing].join('\n'));
  return contexts;
}

testAsRoot('a program that reads without a pause is frozen between its requests', async (t) => {
  await roundTrip(t, { command: target('aio-reads'), goesOn: false, generations: 3 });
});

testAsRoot('a request that waits for something is named, and goes on waiting', async (t) => {
  const cwd = scratch(t);
  const running = start(t, command, ['pending'], { cwd });
  await running.ready();
  const says = new RegExp(
    `^(proc2elf: )?${RING} has 1 request in flight, 1 of which waits for a descriptor \\(IOCB_CMD_POLL\\): freeze it when all have completed or were cancelled$`,
    'm',
  );
  const checked = await proc2elf(['check', String(running.pid)], { cwd });
  t.is(checked.code, 1);
  t.regex(checked.stdout + checked.stderr, says);
  const refused = await proc2elf([String(running.pid), '-o', join(cwd, 'image')], { cwd });
  t.is(refused.code, 1);
  t.regex(refused.stderr, says);
  await running.goAndExpectOk();
});

testAsRoot('who may not read in the kernel is told so', async (t) => {
  const cwd = scratch(t);
  const [setpriv, ...args] = [...asUser(nobody), command];
  const running = start(t, setpriv!, args, { cwd });
  await running.ready();
  const refused = await proc2elf([String(running.pid), '-o', '-'], { cwd }, asUser(nobody));
  t.is(refused.code, 1);
  const why = 'cannot be carried, because only root \\(CAP_BPF and CAP_PERFMON\\) may read it in the kernel';
  t.regex(refused.stderr, new RegExp(`${RING.replace('rw-s', 'r.-s')} ${why}$`, 'm'));
  await running.goAndExpectOk();
});

/** Makes a context, for `requests`, in Python. */
const makes = (requests: number): string => `import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(206, ${requests}, ctypes.byref(ctypes.c_ulong(0))) == 0
`;
const WAITS = 'print("ready", flush=True)\nsys.stdin.readline()\nprint("ok")\n';

testAsRoot('a ring that two processes see is refused, whosever it is', async (t) => {
  const cwd = scratch(t);
  const forks = `child = os.fork()\nif child == 0:\n    import signal\n    signal.pause()\n`;
  const program = `${makes(1)}${forks}${WAITS.replace('print("ok")', 'os.kill(child, 9); os.wait(); print("ok")')}`;
  const running = start(t, 'python3', ['-c', program], { cwd });
  await running.ready();
  const child = childrenOf(running.pid)[0]!;
  const refusal = async (...args: string[]) =>
    (await proc2elf([...args, '-o', join(cwd, 'image')], { cwd })).stderr;
  t.regex(
    await refusal(String(child), '--embed-shared'),
    new RegExp(`${RING} belongs to another process, or is gone$`, 'm'),
  );
  t.regex(await refusal(String(running.pid)), /\/\[aio\] \(deleted\) is shared with process \d+ /);
  await freeze(running.pid, join(cwd, 'image'), ['--drop-children'], { cwd });
  await running.goAndExpectOk();
});

testAsRoot('where the kernel gives no more contexts the image says so', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const [most, taken] = ['max-nr', 'nr'].map((name) =>
    Number(readFileSync(`/proc/sys/fs/aio-${name}`, 'utf8')),
  );
  // Twice as many are too many.
  const requests = Math.floor((most! - taken!) * 0.6);
  const original = start(t, 'python3', ['-c', makes(requests) + WAITS], { cwd });
  await original.ready();
  await freeze(original.pid, image, [], { cwd });
  const says = new RegExp(
    `^frozen\\.bin: cannot make the AIO context at [0-9a-f]+ for ${requests} requests \\(fs\\.aio-max-nr\\): EAGAIN\n$`,
  );
  for (const options of [[], ['--check']]) {
    const { code, stdout, stderr } = await run(image, options, { cwd });
    t.is(code, 125);
    t.is(stdout, '');
    t.regex(stderr, says);
  }
  await original.goAndExpectOk();
  await start(t, image, [], { cwd }).goAndExpectOk();
});
