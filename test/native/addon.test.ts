import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { addon } from '../../src/native/addon.js';
import { compile, mapping, start } from './targets.js';

const directory = mkdtempSync(join(tmpdir(), 'proc2elf-addon-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

/** A file of 4 KiB pages: a letter fills a page, '.' is a page of zeros. */
function pages(name: string, letters: string): { path: string; fd: number } {
  const path = join(directory, name);
  writeFileSync(path, Buffer.concat([...letters].map((c) => Buffer.alloc(4096, c === '.' ? 0 : c))));
  return { path, fd: openSync(path, 'r') };
}

function output(name: string): { path: string; fd: number } {
  const path = join(directory, name);
  return { path, fd: openSync(path, 'w') };
}

const progress = () => new BigUint64Array(2);

test('syscall: results, memory arguments, errors', (t) => {
  t.is(addon.syscall(39), BigInt(process.pid));
  const name = new Uint8Array(6 * 65);
  t.is(addon.syscall(63, name), 0n); // uname
  t.is(Buffer.from(name.subarray(0, 5)).toString(), 'Linux');
  t.throws(() => addon.syscall(3, -1), { code: 'EBADF', message: /EBADF/ });
  const error = t.throws(() => addon.syscall(2, Buffer.from('/nonexistent\0'), 0));
  t.like(error, { code: 'ENOENT', errno: 2, syscall: 2 });
  t.throws(() => (addon.syscall as (...args: unknown[]) => bigint)(39, 'x'), { instanceOf: TypeError });
});

test('copy leaves holes where pages are zero', async (t) => {
  const from = pages('in', 'ab..c.');
  const to = output('sparse');
  const done = progress();
  const runs = BigUint64Array.of(0n, 5n * 4096n, 1n << 20n, 4096n, 100n, 0n);
  const result = await addon.copy(from.fd, to.fd, runs, true, 0n, done, 0);
  t.deepEqual(result, { written: 3 * 4096 + 100, zero: 2 * 4096, unreadable: [] });
  t.is(done[0], 5n * 4096n + 100n);
  const bytes = readFileSync(to.path);
  t.is(bytes.length, 2 ** 20 + 5 * 4096);
  t.true(bytes.subarray(2 ** 20).equals(readFileSync(from.path).subarray(0, 5 * 4096)));
  t.true(bytes.subarray(0, 100).equals(Buffer.alloc(100, 'b')));
  t.true(fstatSync(to.fd).blocks * 512 < 2 ** 20);
});

test('copy writes a stream front to back', async (t) => {
  const from = pages('stream-in', 'x.y');
  const to = output('stream');
  const runs = BigUint64Array.of(0n, 8192n, 10_000n, 8192n, 4096n, 30_000n);
  const result = await addon.copy(from.fd, to.fd, runs, false, 9_000n, progress(), 0);
  t.deepEqual(result, { written: 25_096, zero: 4096, unreadable: [] });
  const bytes = readFileSync(to.path);
  t.is(bytes.length, 34_096 - 9_000);
  t.true(bytes.subarray(1_000, 5_096).equals(Buffer.alloc(4096, 'x')));
  t.true(bytes.subarray(5_096, 21_000).equals(Buffer.alloc(15_904)));
  t.true(bytes.subarray(21_000).equals(Buffer.alloc(4096, 'y')));
  await t.throwsAsync(addon.copy(from.fd, to.fd, runs, false, 10_001n, progress(), 0), { code: 'EINVAL' });
});

test('copy of many runs: each in its place, in a file and in a stream', async (t) => {
  // More than the workers take at a time, some runs long, some short, two of three with a gap behind them.
  const source = randomBytes(8 << 20);
  source.fill(0, 3 << 20, 4 << 20);
  const path = join(directory, 'many-in');
  writeFileSync(path, source);
  const from = openSync(path, 'r');
  const runs: bigint[] = [];
  const expected = Buffer.alloc(source.length);
  for (let at = 0, i = 0; at < source.length; i++) {
    const size = Math.min(i % 5 === 0 ? 700_001 : 3_000 + 37 * i, source.length - at);
    // Sources go backwards.
    const place = source.length - at - size;
    runs.push(BigInt(place), BigInt(size), BigInt(at));
    source.copy(expected, at, place, place + size);
    at += size + 1_000 * (i % 3);
  }
  for (const sparse of [true, false]) {
    const to = output(`many-${sparse}`);
    const done = progress();
    await addon.copy(from, to.fd, BigUint64Array.from(runs), sparse, 0n, done, 0);
    const copied = runs.filter((_, i) => i % 3 === 1).reduce((sum, size) => sum + size, 0n);
    t.is(done[0], copied);
    const bytes = readFileSync(to.path);
    t.true(bytes.equals(expected.subarray(0, bytes.length)));
    t.is(BigInt(bytes.length), runs.at(-1)! + runs.at(-2)!);
  }
});

test('copy fails with the code of what failed', async (t) => {
  const from = pages('error-in', 'x');
  const to = output('error');
  const page = BigUint64Array.of(0n, 4096n, 0n);
  const beyond = BigUint64Array.of(4096n, 4096n, 0n);
  const full = openSync('/dev/full', 'w');
  await t.throwsAsync(addon.copy(from.fd, full, page, false, 0n, progress(), 0), { code: 'ENOSPC' });
  await t.throwsAsync(addon.copy(from.fd, from.fd, page, true, 0n, progress(), 0), { code: 'EBADF' });
  await t.throwsAsync(addon.copy(from.fd, to.fd, beyond, true, 0n, progress(), 0), { code: 'ENODATA' });
  closeSync(full);
});

test('copy stops when it is told to', async (t) => {
  const path = join(directory, 'stop-in');
  const size = 64 * 2 ** 30;
  writeFileSync(path, '');
  truncateSync(path, size);
  const done = progress();
  const runs = BigUint64Array.of(0n, BigInt(size), 0n);
  const copy = addon.copy(openSync(path, 'r'), output('stop').fd, runs, true, 0n, done, 0);
  done[1] = 1n;
  await t.throwsAsync(copy, { code: 'ECANCELED' });
  t.true(done[0]! < size);
});

test('copy to a pipe: a reader that is slow, a reader that is gone', async (t) => {
  const from = pages('pipe-in', 'p'.repeat(100));
  const all = BigUint64Array.of(0n, 409_600n, 0n);
  const ends = new Int32Array(2);
  addon.syscall(293, new Uint8Array(ends.buffer), 0o4000); // pipe2, O_NONBLOCK
  const [reader, writer] = ends as unknown as [number, number];
  const copy = addon.copy(from.fd, writer, all, false, 0n, progress(), 0);
  let received = 0n;
  while (received < 409_600n) {
    try {
      received += addon.syscall(0, reader, new Uint8Array(50_000), 50_000);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1)); // EAGAIN
    }
  }
  t.is((await copy).written, 409_600);
  closeSync(reader);
  await t.throwsAsync(addon.copy(from.fd, writer, all, false, 0n, progress(), 0), { code: 'EPIPE' });
  closeSync(writer);
});

test('copy of memory: unreadable pages become zeros and are listed, an ended process is ESRCH', async (t) => {
  const target = start(compile('crowd'), '0', '0');
  await target.line();
  const [stackStart, stackEnd] = mapping(target.pid, '[stack]');
  const memory = openSync(`/proc/${target.pid}/mem`, 'r');
  const to = output('memory');
  const size = stackEnd - stackStart;
  const runs = BigUint64Array.of(
    stackEnd - 4096n,
    3n * 4096n,
    0n,
    stackStart,
    size,
    1n << 20n,
    4096n,
    4096n,
    1n << 30n,
  );
  const copyBy = (pid: number) => addon.copy(memory, to.fd, runs, true, 0n, progress(), pid);
  for (const pid of [0, target.pid]) {
    const result = await copyBy(pid);
    t.deepEqual(result.unreadable[0], [stackEnd, 2 * 4096]);
    t.deepEqual(result.unreadable.at(-1), [4096n, 4096]);
    t.true(result.written > 4096);
  }
  target.process.kill('SIGKILL');
  await target.rest();
  for (const pid of [0, target.pid]) await t.throwsAsync(copyBy(pid), { code: 'ESRCH' });
});

test('the processor and the interpreter', (t) => {
  const [highest] = addon.cpuid(0, 0);
  t.true(highest >= 13);
  t.is(addon.xcr0() & 3n, 3n);
  t.true(addon.interpreter().length > 0);
});
