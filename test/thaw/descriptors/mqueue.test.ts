/** POSIX message queues. */
import { closeSync } from 'node:fs';
import test from 'ava';
import { addon } from '../../../src/native/addon.js';
import { openQueue, queueAttributes } from '../../../src/native/mqueue.js';
import { Flag } from '../../../src/thaw/program.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { refusal, roundTrip, withContent } from './support.js';

const NR = { mq_open: 240, mq_unlink: 241, mq_timedsend: 242 } as const;
const O = { RDWR: 2, CREAT: 0o100 } as const;
const name = (of: string): Buffer => Buffer.from(`proc2elf-test-${process.pid}-${of}\0`);

/** A queue for a test, with one message in it. */
function makeQueue(t: { teardown(end: () => void): void }, of: string, most = 3n, size = 64n): string {
  const attributes = new Uint8Array(BigInt64Array.of(0n, most, size, 0n, 0n, 0n, 0n, 0n).buffer);
  const fd = Number(addon.syscall(NR.mq_open, name(of), O.RDWR | O.CREAT, 0o600, attributes));
  addon.syscall(NR.mq_timedsend, fd, Buffer.from('text'), 4, 0, 0);
  closeSync(fd);
  t.teardown(() => {
    try {
      addon.syscall(NR.mq_unlink, name(of));
    } catch {
      // The test has removed it.
    }
  });
  return name(of).toString('latin1', 0, name(of).length - 1);
}

test('queues are opened again, and what is in them stays', async (t) => {
  const queue = makeQueue(t, 'again');
  const { before, after } = await roundTrip(
    t,
    `
libc.mq_open.restype = ctypes.c_int
a, b, c = (libc.mq_open(b"/${queue}", f) for f in (os.O_RDWR | os.O_NONBLOCK, os.O_RDONLY, os.O_WRONLY))
os.read(b, 9)
at(a, 10); at(b, 11); at(c, 12); os.dup2(10, 13); os.set_inheritable(11, False)
`,
  );
  t.deepEqual([before.warnings, after.warnings], [[], []]);
  t.deepEqual(after.table, before.table);
  t.like(fileOf(before, 11), { kind: 'mqueue', name: queue, offset: 9n, maxMessages: 3, messageSize: 64 });
  t.is(fileOf(before, 10), fileOf(before, 13));
  const fd = openQueue(Buffer.from(queue), O.RDWR);
  t.deepEqual(queueAttributes(fd), { maxMessages: 3, messageSize: 64 });
  closeSync(fd);
});

test('a queue that is gone or another one is named', async (t) => {
  const queue = makeQueue(t, 'gone');
  const target = await startTarget(
    t,
    `
libc.mq_open.restype = ctypes.c_int
at(libc.mq_open(b"/${queue}", os.O_RDWR), 10)
`,
  );
  const before = capture(target);
  t.deepEqual(before.problems, []);
  const planned = withContent(before.table, before.objects);
  target.child.kill('SIGKILL');
  addon.syscall(NR.mq_unlink, name('gone'));
  const label = `cannot open the message queue /${queue} (descriptor 10, message queue)`;
  for (const flags of [0, Flag.CHECK]) {
    t.is(await refusal(t, planned, flags), `${label}: No such file or directory\n`);
  }
  makeQueue(t, 'gone', 4n);
  for (const flags of [0, Flag.CHECK]) {
    t.is(await refusal(t, planned, flags), `${label}: mq_maxmsg is not 3 any more\n`);
  }
});

const problemsOf = ({ problems }: ReturnType<typeof capture>) =>
  problems.map((line) =>
    /^descriptor (\d+) \(message queue, .*\) cannot be carried: (.*); use/.exec(line)?.slice(1),
  );

test('what is not carried is named, and the process loses nothing by the look', async (t) => {
  const queue = makeQueue(t, 'told');
  const told = await startTarget(
    t,
    `
libc.mq_open.restype = ctypes.c_int
at(libc.mq_open(b"/${queue}", os.O_RDWR), 10)
assert libc.mq_receive(10, ctypes.create_string_buffer(64), 64, None) == 4
event = ctypes.create_string_buffer(struct.pack("Pii48x", 0, signal.SIGUSR1, 0))
assert libc.mq_notify(10, event) == 0
`,
  );
  const line = 'the process is to be told of its next message (mq_notify), which is not carried';
  t.deepEqual(problemsOf(capture(told)), [['10', line]]);
  t.deepEqual(problemsOf(capture(told)), [['10', line]], 'it is still to be told');
  const removed = await startTarget(
    t,
    `
libc.mq_open.restype = ctypes.c_int
at(libc.mq_open(b"/${queue}", os.O_RDONLY), 10); libc.mq_unlink(b"/${queue}")
`,
  );
  t.deepEqual(problemsOf(capture(removed)), [
    ['10', 'it was removed (mq_unlink), so that nothing leads to it'],
  ]);
});
