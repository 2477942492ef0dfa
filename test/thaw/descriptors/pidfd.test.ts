import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import type { DescriptorTable, OpenFileOf } from '../../../src/snapshot/descriptors.js';
import { Flag } from '../../../src/thaw/program.js';
import { leaveOut } from '../../e2e/harness/needs.js';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { refusal, restore, roundTrip, withContent } from './support.js';

type Stranger = NonNullable<OpenFileOf<'pidfd'>['stranger']>;

test('descriptors that name the process itself', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(os.pidfd_open(os.getpid()), 10)
fcntl.fcntl(10, fcntl.F_SETFL, os.O_NONBLOCK)
os.dup2(10, 11)
p = os.pidfd_open(os.getpid()); os.dup2(p, 12, inheritable=False); os.close(p)
e = select.epoll(); os.dup2(e.fileno(), 20); e.close()
keep = select.epoll.fromfd(20); keep.register(11, select.EPOLLIN)
`,
  );
  t.deepEqual(after.table, before.table);
  t.true(after.table.files.some(({ kind }) => kind === 'epoll'));
  t.is(before.table.files.filter((file) => file.kind === 'pidfd' && file.thread === null).length, 2);
});

test('another process has to be there still, and to be the same', async (t) => {
  const other = spawn('sleep', ['1000'], { stdio: 'ignore' });
  t.teardown(() => other.kill('SIGKILL'));
  const target = await startTarget(
    t,
    `
at(os.pidfd_open(${other.pid}, os.O_NONBLOCK), 10)
e = select.epoll(); os.dup2(e.fileno(), 20); e.close()
keep = select.epoll.fromfd(20); keep.register(10, select.EPOLLIN)
`,
  );
  const { table, objects, problems } = capture(target);
  if (/^descriptor 10 .* not frozen with this one/.test(problems[0] ?? '')) {
    return leaveOut(t, 'this kernel does not number processes');
  }
  const restored = await restore(t, withContent(table, objects));
  t.deepEqual(capture({ ...target, pid: restored.pid! }).table, table);
  const changed = (change: (stranger: Stranger) => Stranger) => ({
    ...table,
    files: table.files.map((file) =>
      file.kind === 'pidfd' ? { ...file, stranger: change(file.stranger!) } : file,
    ),
  });
  const says = (table: DescriptorTable, flags = 0) => refusal(t, withContent(table, objects), flags);
  const taken = changed((stranger) => ({ ...stranger, pid: 1 }));
  for (const flags of [0, Flag.CHECK]) {
    t.regex(
      await says(taken, flags),
      /^cannot make a pidfd \(descriptor 10, pidfd\): process 1 is another by now: .*--drop-fd/,
    );
  }
  const moved = changed((stranger) => ({ ...stranger, boot: Buffer.alloc(36, '0') }));
  t.regex(
    await says(moved),
    /^cannot make a pidfd \(descriptor 10, pidfd\): the process was one of another machine/,
  );
  other.kill('SIGKILL');
  await once(other, 'exit');
  t.regex(
    await says(table),
    /^cannot make a pidfd of process \d+ \(descriptor 10, pidfd\): No such process\n$/,
  );
});

const ENDED = `
def ended(end, *numbers):
    child = os.fork()
    if child == 0: end()
    for number in numbers: at(os.pidfd_open(child), number)
    return os.waitpid(child, 0)[1]
def by(signal):
    return lambda: os.kill(os.getpid(), signal)
`;

/** Of descriptors of processes that have ended. */
const endsOf = ({ files }: DescriptorTable) =>
  files.flatMap((file) => (file.kind === 'pidfd' && file.ended ? [file.ended] : []));

/** The same with other ends. */
const withEnds = (table: DescriptorTable, exit: number | null): DescriptorTable => ({
  ...table,
  files: table.files.map((file) =>
    file.kind === 'pidfd' ? { ...file, ended: { ...file.ended!, exit } } : file,
  ),
});

test('processes that have ended, by descriptors that mean the same or others', async (t) => {
  const code = `${ENDED}
ended(lambda: os._exit(9), 10, 11); os.dup2(10, 12); fcntl.fcntl(11, fcntl.F_SETFL, os.O_NONBLOCK)
ended(by(signal.SIGTERM), 13); ended(by(signal.SIGKILL), 14); ended(lambda: os._exit(0), 15)
`;
  const { before, after } = await roundTrip(t, code);
  const comparable = ({ table }: typeof before) => {
    const inodes = [...new Set(endsOf(table).map(({ inode }) => inode))];
    const numbered = (file: OpenFileOf<'pidfd'>) => ({
      ...file.ended,
      inode: inodes.indexOf(file.ended!.inode),
    });
    return {
      ...table,
      files: table.files.map((file) => (file.kind === 'pidfd' ? { ...file, ended: numbered(file) } : file)),
    };
  };
  t.deepEqual(comparable(after), comparable(before));
  const [first, second, ...others] = endsOf(before.table);
  t.is(others.length, 3);
  t.deepEqual(first, second);
  if (first!.inode !== null) t.is(new Set(others.map(({ inode }) => inode)).add(first!.inode).size, 4);
  if (first!.exit !== null) {
    t.deepEqual(
      endsOf(before.table).map(({ exit }) => exit),
      [0x900, 0x900, 15, 9, 0],
    );
  }
});

test('an end that the kernel tells, and did not tell or tells otherwise, is refused', async (t) => {
  const target = await startTarget(t, `${ENDED}ended(lambda: os._exit(9), 10, 11)`);
  const { table, objects, problems } = capture(target);
  t.deepEqual(problems, []);
  const says = (exit: number | null) => refusal(t, withContent(withEnds(table, exit), objects));
  if (endsOf(table)[0]!.exit === null) return leaveOut(t, 'this kernel does not tell how a process ended');
  t.regex(
    await says(null),
    /^cannot make a process that ends \(descriptor 10, pidfd\): this kernel tells how .*--drop-fd\)\n$/,
  );
  // Of a signal that is ignored, a process does not end.
  t.regex(
    await says(17),
    /^cannot make a process that ends \(descriptor 10, pidfd\): this kernel tells another end/,
  );
});

test('a process that has ended with a core dump is refused', async (t) => {
  const target = await startTarget(
    t,
    `${ENDED}
import resource
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
if os.WCOREDUMP(ended(os.abort, 10)): os.dup2(10, 11)
`,
  );
  const { problems, table } = capture(target);
  if (
    problems.length === 0 &&
    (!table.descriptors.some(({ fd }) => fd === 11) || endsOf(table)[0]!.exit === null)
  ) {
    return leaveOut(t, 'nothing dumps its memory here, or the kernel does not tell');
  }
  t.is(problems.length, 1);
  t.regex(
    problems[0]!,
    /^descriptor 10 \(pidfd, .*\) cannot be carried: it refers to a process that ended in a way .* core dump \(0x86/,
  );
});

test('a thread that an epoll set watches is refused', async (t) => {
  const target = await startTarget(
    t,
    `
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
tid = [int(name) for name in os.listdir("/proc/self/task") if int(name) != os.getpid()][0]
fd = libc.syscall(434, tid, os.O_EXCL)
if fd >= 0:
    at(fd, 10)
    e = select.epoll(); os.dup2(e.fileno(), 20); e.close()
    keep = select.epoll.fromfd(20); keep.register(10, select.EPOLLIN)
`,
  );
  const { problems, table } = capture(target);
  if (problems.length === 0 && !table.files.some(({ kind }) => kind === 'epoll')) {
    return leaveOut(t, 'this kernel has no PIDFD_THREAD');
  }
  t.is(problems.length, 1);
  t.regex(
    problems[0]!,
    /^descriptor 10 \(pidfd, .*: it refers to a thread, and the epoll set on descriptor 20/,
  );
});
