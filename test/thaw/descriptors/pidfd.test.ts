import test from 'ava';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

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

test('other processes are refused by name', async (t) => {
  const target = await startTarget(
    t,
    `
at(os.pidfd_open(1), 10)
child = os.fork()
if child == 0: os._exit(0)
at(os.pidfd_open(child), 11)
os.waitpid(child, 0)
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 2);
  t.regex(
    problems[0]!,
    /^descriptor 10 \(pidfd, .*\) cannot be carried: it refers to process 1 \(\S+\), which is not frozen with this one; use --drop-fd 10/,
  );
  t.regex(
    problems[1]!,
    /^descriptor 11 \(pidfd, .*\) cannot be carried: it refers to a process that has ended, and/,
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
    t.log('this kernel has no PIDFD_THREAD');
    t.pass();
    return;
  }
  t.is(problems.length, 1);
  t.regex(
    problems[0]!,
    /^descriptor 10 \(pidfd, .*: it refers to a thread, and the epoll set on descriptor 20/,
  );
});
