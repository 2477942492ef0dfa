import { readFileSync, truncateSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { preparePlan, refusal, restore, roundTrip, withContent } from './support.js';

test('regular files, directories and devices', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
a = at(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 10)
os.write(a, b"twenty bytes of log.")
os.dup2(a, 11, inheritable=False)
at(os.open("log", os.O_RDONLY | os.O_NONBLOCK | os.O_SYNC), 3)
at(os.open(".", os.O_RDONLY | os.O_DIRECTORY), 13)
at(os.open("log", os.O_PATH), 14)
os.dup2(11, 1)
at(os.open("/dev/urandom", os.O_RDONLY), 15)
x = os.open("log", os.O_RDWR); os.lseek(x, 1000, 0); os.dup2(x, 2); os.close(x)
`,
  );
  t.deepEqual(after.table, before.table);
});

test('objects, with their content, seals and modes', async (t) => {
  const { before, after, planned, again } = await roundTrip(
    t,
    `
a = at(os.open("gone", os.O_RDWR | os.O_CREAT, 0o400), 10)
os.write(a, b"was here")
at(os.open("gone", os.O_RDONLY | os.O_APPEND), 11)
os.unlink("gone")
os.utime(a, ns=(-5, 1234567890123456789))
m = at(os.memfd_create("thing", os.MFD_ALLOW_SEALING), 13)
os.ftruncate(m, 5 << 20)
os.pwrite(m, b"x", 1 << 20); os.pwrite(m, b"y", 3 << 20)
fcntl.fcntl(m, 1033, 15)
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(again.content, planned.content);
  const kept = ({ objects }: typeof before.objects) =>
    objects.map(({ size, mode, seals, owner, times }) => ({ size, mode, seals, owner, times }));
  t.deepEqual(kept(after.objects), kept(before.objects));
  t.deepEqual(kept(before.objects)[0]!.times, { accessed: -5n, modified: 1234567890123456789n });
});

test('names of memory in any bytes', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
m = ctypes.CDLL(None).memfd_create(b"odd \\xff\\xfe name", 0); at(m, 10); os.write(10, b"content")
f = os.open(b"gone \\xff", os.O_RDWR | os.O_CREAT); os.write(f, b"too"); os.unlink(b"gone \\xff"); at(f, 11)
`,
  );
  t.deepEqual(after.table, before.table);
  const [first, second] = before.objects.objects;
  t.is(first!.name, 'odd \udcff\udcfe name');
  t.true(second!.name.endsWith('/gone \udcff'));
  t.is(after.objects.objects[0]!.name, first!.name);
});

test('a file that has lost the name by which it was opened, and has another', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(os.open("one", os.O_RDWR | os.O_CREAT), 10)
os.write(10, b"content"); os.link("one", "beside"); os.unlink("one")
at(os.open("two", os.O_RDWR | os.O_CREAT), 11)
os.mkdir("far"); os.link("two", "far/away"); at(os.open("far/away", os.O_RDONLY), 12)
os.rename("beside", "two")
`,
  );
  t.deepEqual(after.table, before.table);
  const names = before.table.files.map((file) => (file.kind === 'file' ? file.path.split('/').at(-1) : ''));
  t.deepEqual(names.slice(-3), ['two', 'away', 'away']);
});

test('extended attributes of what loses its file are named', async (t) => {
  const target = await startTarget(
    t,
    `
a = at(os.open("/dev/shm/%d" % os.getpid(), os.O_RDWR | os.O_CREAT), 10)
os.setxattr(10, "trusted.note" if os.getuid() == 0 else "user.note", b"1")
os.unlink("/dev/shm/%d" % os.getpid())
`,
  );
  const { warnings } = capture(target);
  t.is(warnings.length, 1);
  t.regex(
    warnings[0]!,
    /^descriptor 10 \(.*\): its extended attributes stay behind \((trusted|user)\.note\)$/,
  );
});

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

test('a FIFO is not written to where a lock or a path of a socket is taken', async (t) => {
  const target = await startTarget(
    t,
    `
os.mkfifo("fifo"); at(os.open("fifo", os.O_RDWR), 10); os.write(10, b"fifo!")
at(os.open("locked", os.O_RDWR | os.O_CREAT), 11); fcntl.flock(11, fcntl.LOCK_EX)
`,
  );
  const { table, objects } = capture(target);
  t.is(Buffer.concat(table.pipes[0]!.content).toString(), 'fifo!');
  target.child.kill('SIGKILL');
  await new Promise((resolve) => target.child.once('exit', resolve));
  const other = await startTarget(
    t,
    `
os.chdir(${JSON.stringify(target.folder)})
at(os.open("fifo", os.O_RDWR), 10); at(os.open("locked", os.O_RDWR), 11); fcntl.flock(11, fcntl.LOCK_EX)
`,
  );
  t.regex(
    await refusal(t, withContent(table, objects)),
    /^cannot take the lock on .*locked \(descriptor 11, file\): /,
  );
  t.deepEqual(capture(other).table.pipes[0]!.content, []);
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

test('eventfds and epoll sets', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(os.eventfd(7), 10); at(os.eventfd(3, os.EFD_SEMAPHORE | os.EFD_NONBLOCK), 11)
at(os.eventfd(0), 9)
os.write(9, struct.pack("Q", 2**64 - 2))
r, w = os.pipe(); at(r, 12); at(w, 13)
for n in (20, 21, 22):
    e = select.epoll(); os.dup2(e.fileno(), n); e.close()
inner = select.epoll.fromfd(22); outer = select.epoll.fromfd(21); once = select.epoll.fromfd(20)
inner.register(12, select.EPOLLIN | select.EPOLLET)
outer.register(22, select.EPOLLIN)
os.dup2(11, 30)
outer.register(30, select.EPOLLIN)
os.dup2(10, 30)
os.dup2(11, 31)
outer.register(31, select.EPOLLIN)
os.close(31)
once.register(13, select.EPOLLOUT | select.EPOLLONESHOT)
assert len(once.poll(0)) == 1
os.write(13, b"z")
once.register(12, select.EPOLLIN | select.EPOLLONESHOT)
assert len(once.poll(0)) == 1
once.register(10, select.EPOLLIN | select.EPOLLONESHOT)
assert len(once.poll(0)) == 1
`,
  );
  const sorted = (table: typeof after.table) => ({
    ...table,
    files: table.files.map((file) =>
      file.kind === 'epoll' ? { ...file, members: [...file.members].sort((a, b) => a.fd - b.fd) } : file,
    ),
  });
  t.deepEqual(sorted(after.table), sorted(before.table));
});

test('locks, on 0, 1 and 2 too', async (t) => {
  const code = `
a = at(os.open("db", os.O_RDWR | os.O_CREAT), 10)
fcntl.lockf(a, fcntl.LOCK_EX, 10, 5)
fcntl.lockf(a, fcntl.LOCK_SH, 0, 100)
b = at(os.open("lock", os.O_RDWR | os.O_CREAT), 11)
fcntl.flock(b, fcntl.LOCK_EX)
c = os.open("low", os.O_RDWR | os.O_CREAT)
os.dup2(c, 0); os.close(c)
fcntl.lockf(0, fcntl.LOCK_EX)
`;
  const { before, after, target, planned } = await roundTrip(t, code);
  t.deepEqual(after.table, before.table);
  // The process made now holds them: another one cannot.
  const text = await refusal(t, planned);
  t.true(
    text.startsWith(`cannot take the lock on ${join(target.folder, 'db')} (descriptor 10, file): `),
    text,
  );
  t.regex(
    await refusal(t, planned, 2),
    /(db \(descriptor 10, file\)|low \(descriptor 0, file\)): another process holds a lock on it/,
  );
});

test('refusals name the file, the descriptor and why', async (t) => {
  const target = await startTarget(
    t,
    `
f = at(os.open("log", os.O_RDWR | os.O_CREAT), 10)
os.write(f, b"x" * 20)
`,
  );
  const { table, objects } = capture(target);
  const planned = withContent(table, objects);
  const log = join(target.folder, 'log');
  truncateSync(log, 19);
  const shorter = `cannot reopen ${log} (descriptor 10, file): the file is shorter than the offset 20\n`;
  t.is(await refusal(t, planned), shorter);
  t.is(await refusal(t, planned, 2), shorter);
  unlinkSync(log);
  t.is(await refusal(t, planned), `cannot reopen ${log} (descriptor 10, file): No such file or directory\n`);
});

test('chosen paths: an offset where there can be one', async (t) => {
  const { after } = await roundTrip(
    t,
    `
f = at(os.open("log", os.O_RDWR | os.O_CREAT), 10)
os.write(f, b"x" * 20)
os.dup2(os.open("log", os.O_RDWR), 11)
os.lseek(11, 7, 0)
open("copy", "w").write("y" * 20)
at(socket.socket().detach(), 12)
`,
    parseChoices([3, 4, 5].slice(0, 0), ['10=/dev/null', '12=/dev/zero'], '/'),
  );
  const paths = after.table.files.flatMap((file) => (file.kind === 'file' ? [[file.path, file.offset]] : []));
  t.true(paths.some(([path, offset]) => path === '/dev/null' && offset === 0n));
  t.true(paths.some(([path]) => path === '/dev/zero'));
  t.true(paths.some(([path, offset]) => String(path).endsWith('/log') && offset === 7n));
});

test('streams are those of the image', async (t) => {
  const target = await startTarget(
    t,
    `
a = os.pipe()
if os.fork() == 0: signal.pause()
os.dup2(a[1], 1); os.dup2(a[1], 7)
for fd in a: os.close(fd)
fcntl.fcntl(1, fcntl.F_SETFD, 1)
`,
  );
  const before = capture(target);
  t.deepEqual(before.problems, []);
  const child = await restore(t, withContent(before.table, before.objects), ['ignore', 'pipe', 'inherit']);
  const after = capture({ pid: child.pid! });
  t.deepEqual(
    after.table.descriptors.map(({ fd, closeOnExec }) => [fd, closeOnExec]),
    [
      [0, false],
      [1, true],
      [2, false],
      [7, false],
    ],
  );
  const file = after.table.files.find(({ kind }) => kind === 'stream');
  t.regex(file?.kind === 'stream' ? file.was : '', /^socket:/);
});

test('a terminal: modes, duplicates and openings of it', async (t) => {
  // A session of its own on a new pseudoterminal; this process passes on nothing and only holds the master.
  const onTerminal = (code: string) => `
import pty, termios, time
pid, master = pty.fork()
if pid == 0:
    a = termios.tcgetattr(0); a[3] &= ~termios.ECHO; a[6][termios.VMIN] = 7; termios.tcsetattr(0, 0, a)
    os.dup2(2, 9)
    at(os.open("/dev/tty", os.O_RDWR), 10)
    at(os.open(os.ttyname(0), os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY), 11)
${code}
open("pid", "w").write(str(pid))
while open("/proc/%d/stat" % pid).read().rsplit(")")[1].split()[0] != "T": time.sleep(0.01)
`;
  const target = await startTarget(t, onTerminal('    os.kill(os.getpid(), signal.SIGSTOP)'));
  const pid = Number(readFileSync(join(target.folder, 'pid'), 'utf8'));
  const before = capture({ pid });
  t.deepEqual(before.problems, []);
  t.deepEqual(
    before.table.files.map((file) => (file.kind === 'stream' ? [file.stream, file.reopen] : file.kind)),
    [
      [0, 'shared'],
      [1, 'shared'],
      [2, 'shared'],
      [2, 'controlling'],
      [2, 'own'],
    ],
  );
  t.is(before.table.terminal!.modes.length, 44);
  const planned = withContent(before.table, before.objects);
  const again = await startTarget(
    t,
    `
import pty, time
pid, master = pty.fork()
if pid == 0:
    command = ${JSON.stringify(preparePlan(planned))}
    os.execvp(command[0], command)
open("pid", "w").write(str(pid))
while open("/proc/%d/stat" % pid).read().rsplit(")")[1].split()[0] != "T": time.sleep(0.01)
`,
  );
  const after = capture({ pid: Number(readFileSync(join(again.folder, 'pid'), 'utf8')) });
  const nameless = (table: typeof before.table) => ({
    ...table,
    files: table.files.map((file) => (file.kind === 'stream' ? { ...file, was: '' } : file)),
  });
  t.deepEqual(nameless(after.table), nameless(before.table));
});
