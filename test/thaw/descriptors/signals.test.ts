import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { withoutNumbers } from './ptys.js';
import { refusal, roundTrip, withContent } from './support.js';

/** fcntl(2) F_SETOWN, F_SETSIG and F_SETLEASE, which Python does not name. */
const SIGNALS = `
SETOWN, SETSIG, SETOWN_EX, SETLEASE, ASYNC = 8, 10, 15, 1024, 0o20000
def pair(number):
    a, b = socket.socketpair()
    return at(a.detach(), number), at(b.detach(), number + 1)
`;

test('owners, signals, O_ASYNC and leases', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `${SIGNALS}
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
pair(10); fcntl.fcntl(10, SETOWN, os.getpid()); fcntl.fcntl(10, SETSIG, 50); fcntl.fcntl(10, fcntl.F_SETFL, ASYNC | os.O_NONBLOCK)
os.dup2(11, 12); fcntl.fcntl(12, SETOWN_EX, struct.pack("ii", 0, os.getpid()))
at(os.eventfd(3), 13); fcntl.fcntl(13, SETSIG, 12); os.dup2(13, 14)
f = at(os.open("read", os.O_RDONLY | os.O_CREAT), 15); fcntl.fcntl(f, SETLEASE, fcntl.F_RDLCK)
f = at(os.open("write", os.O_RDWR | os.O_CREAT), 16); fcntl.fcntl(f, SETLEASE, fcntl.F_WRLCK)
fcntl.fcntl(f, SETSIG, 51)
`,
  );
  t.deepEqual(after.table, before.table);
  const file = (fd: number) => fileOf(before, fd);
  t.deepEqual(file(10).signals, { owner: { kind: 'process' }, signal: 50 });
  t.deepEqual(file(11).signals, { owner: { kind: 'thread', tid: null }, signal: 0 });
  t.deepEqual(file(13).signals, { owner: { kind: 'nobody' }, signal: 12 });
  t.is(file(15).lease, 'read');
  t.like(file(16), { lease: 'write', signals: { owner: { kind: 'process' }, signal: 51 } });
  t.is(file(0).signals, undefined);
});

test('signals to others, and what the kernel does not tell of them, are refused', async (t) => {
  const target = await startTarget(
    t,
    `${SIGNALS}
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
at(os.eventfd(0), 10); fcntl.fcntl(10, SETOWN, os.getppid())
at(os.eventfd(0), 11); fcntl.fcntl(11, SETOWN, -os.getpgrp())
at(os.open(".", os.O_RDONLY), 12); fcntl.fcntl(12, fcntl.F_NOTIFY, fcntl.DN_CREATE)
pair(13); fcntl.fcntl(13, SETSIG, 50); fcntl.fcntl(13, fcntl.F_SETFL, ASYNC); os.dup2(13, 15); os.dup2(14, 13)
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 4);
  t.regex(problems[0]!, /^descriptor 10 \(eventfd.* sends signals \(F_SETOWN\) to process \d+ \(\w+\), /);
  t.regex(problems[1]!, /^descriptor 11 .* to process group \d+, which is another where the image is run/);
  t.regex(problems[2]!, /^descriptor 12 \(directory, .*\(F_NOTIFY\).*; use --drop-fd 12/);
  t.regex(
    problems[3]!,
    /^descriptor 15 .* bear number 13, by which they .* not its own any more; use --drop-fd 15/,
  );
  const choices = parseChoices([11, 12, 13, 15], ['10=/dev/null'], '/');
  const chosen = capture(target, choices);
  t.deepEqual(chosen.problems, []);
  t.deepEqual(chosen.warnings, ['that descriptor 10 sends signals (F_SETOWN, O_ASYNC) is let go of']);
});

test('signals bear the number by which they were asked for, be it one of many, or closed', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `${SIGNALS}
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
def ask(fd):
    fcntl.fcntl(fd, SETOWN, os.getpid()); fcntl.fcntl(fd, SETSIG, 50); fcntl.fcntl(fd, fcntl.F_SETFL, ASYNC)
    return fd
def twice(fd, one, other): os.dup2(fd, one); at(fd, other)
pair(10); os.dup2(10, 12); os.dup2(10, 13); ask(13)
r, w = os.pipe(); at(w, 15); twice(r, 40, 14); ask(40); os.close(40)
f = at(os.open("leased", os.O_RDWR | os.O_CREAT), 16); os.dup2(f, 17); os.dup2(f, 41); fcntl.fcntl(41, SETSIG, 51)
fcntl.fcntl(41, SETLEASE, fcntl.F_WRLCK); os.close(41)
master, slave = os.openpty(); at(master, 18); twice(slave, 42, 19)
i = at(libc.inotify_init(), 20); os.dup2(i, 21); ask(21)
r, w = os.pipe(); at(w, 23); at(ask(at(r, 43)), 22); os.dup2(22, 43); socket.send_fds(socket.socket(fileno=os.dup(10)), [b"x"], [43]); os.close(43); os.close(22)
n = at(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach(), 24); ask(n)
`,
    parseChoices([18, 19], []),
  );
  // A slave whose master is closed has any number.
  t.deepEqual(withoutNumbers(after), withoutNumbers(before));
  const number = (fd: number) => fileOf(before, fd).signals?.number;
  t.deepEqual([10, 14, 16, 20, 24].map(number), [13, 40, 41, 21, undefined]);
  const sent = before.table.files.filter(({ kind, signals }) => kind === 'pipe' && signals);
  t.deepEqual(sent.map(({ signals }) => signals!.number).sort(), [40, 43]);
});

test('a lease is not broken by reading the file, and cannot be had while others have it open', async (t) => {
  const target = await startTarget(
    t,
    `${SIGNALS}
f = at(os.open("gone", os.O_RDWR | os.O_CREAT), 10); os.unlink("gone"); fcntl.fcntl(f, SETLEASE, fcntl.F_WRLCK)
f = at(os.open("kept", os.O_RDWR | os.O_CREAT), 11); fcntl.fcntl(f, SETLEASE, fcntl.F_WRLCK)
`,
    ['ignore', 'ignore', 'pipe'],
  );
  const { problems } = capture(target);
  t.is(problems.length, 1);
  t.regex(problems[0]!, /^descriptor 10 \(deleted file, .*\) cannot be carried: the process holds a lease/);
  const { table, objects } = capture(target, parseChoices([10], [], '/'));
  const planned = withContent(table, objects);
  t.is(fileOf({ table }, 11).lease, 'write');
  target.child.kill('SIGKILL');
  await new Promise((resolve) => target.child.once('exit', resolve));
  const holder = await startTarget(
    t,
    `at(os.open(${JSON.stringify(`${target.folder}/kept`)}, os.O_RDWR), 3)`,
  );
  t.truthy(holder.pid);
  t.regex(await refusal(t, planned), /^cannot take the lease on .*kept \(descriptor 11, file\): /);
});

test("another process's lease is not waited for", async (t) => {
  const { target, before, after, planned, child } = await roundTrip(
    t,
    `
f = at(os.open("leased", os.O_RDWR | os.O_CREAT | os.O_APPEND), 10)
at(os.open("leased", os.O_RDONLY | os.O_NONBLOCK), 11)
`,
  );
  for (const fd of [10, 11]) t.is(fileOf(after, fd).flags, fileOf(before, fd).flags);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  // It never gives way, for which the kernel would wait as long as /proc/sys/fs/lease-break-time says.
  await startTarget(
    t,
    `
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
fcntl.fcntl(at(os.open(${JSON.stringify(`${target.folder}/leased`)}, os.O_RDWR), 3), 1024, fcntl.F_WRLCK)
`,
  );
  t.regex(
    await refusal(t, planned),
    /^cannot reopen .*leased \(descriptor 10, file\): Resource temporarily unavailable$/m,
  );
});
