import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readEntries } from '../../../src/proc/descriptors/entries.js';
import { isOtherEndClosed } from '../../../src/proc/descriptors/pipe.js';
import { makeFolder } from '../../folder.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { refusal, roundTrip, withContent } from './support.js';

test('pipes and FIFOs', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
r, w = os.pipe2(os.O_NONBLOCK)
at(r, 10); at(w, 11)
fcntl.fcntl(11, 1031, 1 << 18)
os.write(11, b"y" * 100000)
r, w = os.pipe2(os.O_DIRECT)
at(r, 5); at(w, 4)
os.write(4, b"first"); os.write(4, b"second")
r, w = os.pipe()
os.write(w, b"rest"); os.close(w); at(r, 14)
r, w = os.pipe(); os.close(r); at(w, 16)
r, w = os.pipe()
os.dup2(r, 0); os.dup2(w, 1); os.close(r); os.close(w)
at(os.open("/proc/self/fd/0", os.O_RDONLY | os.O_NONBLOCK), 17)
at(os.open("/proc/self/fd/0", os.O_RDWR), 18)
os.mkfifo("fifo")
at(os.open("fifo", os.O_RDWR), 15)
os.write(15, b"in the fifo")
at(os.open("fifo", os.O_WRONLY), 19)
`,
  );
  t.deepEqual(after.table, before.table);
});

/** What the process has, and what another process may have that stands against that. */
const TAKEN: readonly (readonly [what: string, ours: string, theirs: string, says: RegExp])[] = [
  [
    'a lock',
    'fcntl.flock(11, fcntl.LOCK_EX)',
    'fcntl.flock(11, fcntl.LOCK_EX)',
    /^cannot take the lock on .*taken \(descriptor 11, file\): /,
  ],
  [
    'a lease',
    'fcntl.fcntl(11, 1024, fcntl.F_WRLCK)',
    '',
    /^cannot take the lease on .*taken \(descriptor 11, file\): /,
  ],
];

for (const [what, ours, theirs, says] of TAKEN) {
  test(`a FIFO is not written to where ${what} cannot be had`, async (t) => {
    const target = await startTarget(
      t,
      `
os.mkfifo("fifo"); at(os.open("fifo", os.O_RDWR), 10); os.write(10, b"fifo!")
at(os.open("taken", os.O_RDWR | os.O_CREAT), 11); ${ours}
`,
      // A stream of its own, which is the image's to the end.
      ['ignore', 'ignore', 'pipe'],
    );
    const { table, objects } = capture(target);
    t.is(Buffer.concat(table.pipes[0]!.content).toString(), 'fifo!');
    target.child.kill('SIGKILL');
    await new Promise((resolve) => target.child.once('exit', resolve));
    const other = await startTarget(
      t,
      `
os.chdir(${JSON.stringify(target.folder)})
at(os.open("fifo", os.O_RDWR), 10); at(os.open("taken", os.O_RDWR), 11); ${theirs}
`,
    );
    t.regex(await refusal(t, withContent(table, objects)), says);
    t.deepEqual(capture(other).table.pipes[0]!.content, []);
  });
}

test('what hears of a FIFO hears nothing of its being filled', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
os.mkfifo("watched"); at(os.open("watched", os.O_RDWR | os.O_NONBLOCK), 10); os.write(10, b"in it")
os.mkfifo("told"); at(os.open("told", os.O_RDWR | os.O_NONBLOCK), 11); os.write(11, b"too")
i = at(libc.inotify_init1(0), 12); assert libc.inotify_add_watch(i, b".", 0xfff) == 1
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fcntl.fcntl(11, fcntl.F_SETOWN, os.getpid()); fcntl.fcntl(11, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
`,
  );
  t.deepEqual(after.table, before.table);
  t.like(fileOf(after, 12), { events: [] });
});

test('pipes with several readers, and with packets of which part was read', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
r, w = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
at(r, 10); at(w, 11)
fcntl.fcntl(11, 1031, 4096 * 3)
os.write(11, b"gone"); os.write(11, b"x" * 5000); os.write(11, b"last")
os.read(10, 2)  # the rest of a packet is dropped
at(os.open("/proc/self/fd/10", os.O_RDONLY | os.O_NONBLOCK), 12)
at(os.open("/proc/self/fd/10", os.O_RDONLY), 13)
at(os.open("/proc/self/fd/10", os.O_WRONLY), 14)
r, w = os.pipe()
at(w, 15); fcntl.fcntl(15, 1031, 4096)
os.write(15, b"full" * 1024)
at(r, 16)
os.mkfifo("fifo")
at(os.open("fifo", os.O_RDONLY | os.O_NONBLOCK), 17)
at(os.open("fifo", os.O_WRONLY), 18)
os.write(18, b"for one of two"); at(os.open("fifo", os.O_RDONLY), 19)
os.close(18)
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(
    before.table.pipes.map(({ capacity, content }) => [capacity, content.map(({ length }) => length)]),
    [
      [16384, [4096, 904, 4]],
      [4096, [4096]],
      [65536, [14]],
    ],
  );
});

test('packets that were written by whoever writes none any more', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
r, w = os.pipe2(os.O_DIRECT)
os.write(w, b"alone"); os.close(w); at(r, 10)
r, w = os.pipe2(os.O_DIRECT)
os.write(w, b"first"); os.write(w, b"second")
fcntl.fcntl(w, fcntl.F_SETFL, 0); os.write(w, b"as "); os.write(w, b"it "); os.write(w, b"comes")
at(r, 11); at(w, 12)
r, w = os.pipe2(os.O_DIRECT)
os.write(w, b"1"); os.write(w, b"2"); at(r, 13); at(w, 14)
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(
    before.table.pipes.map(({ packets, content }) => [
      packets,
      content.map((bytes) => Buffer.from(bytes).toString()),
    ]),
    [
      [1, ['alone']],
      [2, ['first', 'second', 'as it comes']],
      [2, ['1', '2']],
    ],
  );
});

test('packets behind bytes that are none are refused', async (t) => {
  const target = await startTarget(
    t,
    `
r, w = os.pipe()
os.write(w, b"bytes" * 819); fcntl.fcntl(w, fcntl.F_SETFL, os.O_DIRECT); os.write(w, b"packet")
at(r, 10); at(w, 11)
`,
  );
  const { problems } = capture(target);
  t.regex(problems[0]!, /^descriptor 10 \(pipe, .*: it holds packets \(O_DIRECT\) behind bytes /);
});

test('a FIFO that is yet to be written to', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
os.mkfifo("quiet"); os.mkfifo("left")
at(os.open("quiet", os.O_RDONLY | os.O_NONBLOCK), 10)
at(os.open("quiet", os.O_RDONLY | os.O_NONBLOCK), 11)
fcntl.fcntl(11, fcntl.F_SETFL, 0)
at(os.open("left", os.O_RDONLY | os.O_NONBLOCK), 12)
os.close(os.open("left", os.O_WRONLY))
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(
    before.table.pipes.map(({ unwritten }) => unwritten),
    [true, undefined],
  );
});

test('a deleted FIFO comes back without a name, with what is in it', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
os.mkfifo("gone", 0o600)
at(os.open("gone", os.O_RDWR), 10)
at(os.open("gone", os.O_WRONLY), 11)
os.write(10, b"left")
os.chmod("gone", 0o640); os.utime("gone", ns=(1, -2))
os.unlink("gone")
`,
  );
  const [fifo] = before.table.pipes;
  t.like(fifo, { path: '', content: [new Uint8Array(Buffer.from('left'))] });
  t.like(fifo!.removed, { mode: 0o640, times: { accessed: 1n, modified: -2n } });
  const [again] = after.table.pipes;
  const { name } = again!.removed!;
  t.deepEqual(again, { ...fifo!, removed: { ...fifo!.removed!, name } });
  for (const fd of [10, 11]) t.deepEqual(fileOf(after, fd), fileOf(before, fd));
});

test('whether somebody has the other end of a FIFO is told by the kernel, who may look at others or not', (t) => {
  const path = join(makeFolder('fifo-'), 'fifo');
  execFileSync('mkfifo', [path]);
  const isClosed = (fd: number): boolean | null =>
    isOtherEndClosed(readEntries(process.pid).find((entry) => entry.fd === fd)!, fd);
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants;
  const reader = openSync(path, O_RDONLY | O_NONBLOCK);
  t.true(isClosed(reader), 'nobody has written to it yet');
  const writer = openSync(path, O_WRONLY | O_NONBLOCK);
  t.false(isClosed(reader), 'a writer that has written nothing');
  t.false(isClosed(writer));
  writeSync(writer, 'x');
  t.is(isClosed(reader), null, 'with something in it');
  closeSync(writer);
  t.true(isClosed(reader), 'a writer that has gone');
  const late = openSync(path, O_RDONLY | O_NONBLOCK);
  t.is(isClosed(late), null, 'something of a writer that this one has not seen');
  t.is(readSync(reader, new Uint8Array(2)), 1, 'nothing was consumed');
  t.true(isClosed(late));
  const last = openSync(path, O_WRONLY | O_NONBLOCK);
  closeSync(reader);
  closeSync(late);
  t.true(isClosed(last), 'no reader');
  closeSync(last);
});
