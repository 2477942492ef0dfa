import { join } from 'node:path';
import test from 'ava';
import { UsageError } from '../../../src/errors.js';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { surveyDescriptors } from '../../../src/proc/descriptors/index.js';
import { FileDecisions, parseFileChoices } from '../../../src/proc/file-choices.js';
import { capture, fileOf, startTarget } from './support.js';

test('regular files: path, offset, flags, sharing', async (t) => {
  const target = await startTarget(
    t,
    `
a = at(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 10)
os.write(a, b"twenty bytes of log.")
os.dup2(a, 11, inheritable=False)
at(os.open("log", os.O_RDONLY | os.O_NONBLOCK), 12)
at(os.open(".", os.O_RDONLY | os.O_DIRECTORY), 13)
at(os.open("log", os.O_PATH), 14)
`,
  );
  const captured = capture(target);
  t.deepEqual(captured.problems, []);
  const log = fileOf(captured, 10);
  t.like(log, { kind: 'file', type: 'regular', path: join(target.folder, 'log'), offset: 20n, size: 20n });
  t.is(log.flags & 0o2003, 0o2001);
  t.is(fileOf(captured, 11), log);
  t.deepEqual(
    captured.table.descriptors
      .filter(({ fd }) => fd === 10 || fd === 11)
      .map(({ closeOnExec }) => closeOnExec),
    [false, true],
  );
  t.like(fileOf(captured, 12), { offset: 0n });
  t.is(fileOf(captured, 12).flags & 0o4003, 0o4000);
  t.like(fileOf(captured, 13), { type: 'directory' });
  t.is(fileOf(captured, 14).flags & 0o10000000, 0o10000000);
  t.like(fileOf(captured, 0), {
    kind: 'file',
    type: 'device',
    path: '/dev/null',
    device: { major: 1, minor: 3 },
  });
});

test('a thousand duplicates and a thousand openings are told apart', async (t) => {
  const target = await startTarget(
    t,
    `
f = os.open("/dev/zero", os.O_RDWR)
for i in range(1000): os.dup2(f, 1000 + i)
for i in range(1000): os.dup2(os.open("/dev/zero", os.O_RDWR), 3000 + i)
`,
  );
  const { table } = capture(target);
  const shared = new Set(
    table.descriptors.filter(({ fd }) => fd >= 1000 && fd < 2000).map(({ file }) => file),
  );
  const own = new Set(table.descriptors.filter(({ fd }) => fd >= 3000).map(({ file }) => file));
  t.is(shared.size, 1);
  t.is(own.size, 1000);
});

test('deleted files and memfds become objects, once each', async (t) => {
  const target = await startTarget(
    t,
    `
a = at(os.open("gone", os.O_RDWR | os.O_CREAT, 0o640), 10)
os.write(a, b"was here")
at(os.open("gone", os.O_RDONLY), 11)
os.unlink("gone")
b = at(os.open("kept (deleted)", os.O_RDWR | os.O_CREAT), 12)
m = at(os.memfd_create("thing", os.MFD_ALLOW_SEALING), 13)
os.ftruncate(m, 1 << 30)
os.pwrite(m, b"x", 1 << 29)
fcntl.fcntl(m, 1033, 2)
`,
  );
  const captured = capture(target);
  t.deepEqual(captured.problems, []);
  t.like(fileOf(captured, 10), { kind: 'object', object: 0, offset: 8n });
  t.like(fileOf(captured, 11), { kind: 'object', object: 0, offset: 0n });
  t.like(fileOf(captured, 12), { kind: 'file', path: join(target.folder, 'kept (deleted)') });
  t.like(fileOf(captured, 13), { kind: 'object', object: 1 });
  const [gone, thing] = captured.objects.objects;
  t.like(gone, { kind: 'deleted-file', name: join(target.folder, 'gone'), size: 8, mode: 0o640 });
  t.like(thing, { kind: 'memfd', name: 'thing', size: 1 << 30, seals: 2 });
  t.true(thing!.extents.reduce((sum, { size }) => sum + size, 0) <= 1 << 21);
});

test('pipes with what is in them', async (t) => {
  const target = await startTarget(
    t,
    `
r, w = os.pipe2(os.O_NONBLOCK)
at(r, 10); at(w, 11)
fcntl.fcntl(11, 1031, 1 << 18)
os.write(11, b"y" * 100000)
r, w = os.pipe2(os.O_DIRECT)
at(r, 12); at(w, 13)
os.write(13, b"first"); os.write(13, b"second")
r, w = os.pipe()
os.write(w, b"rest"); os.close(w); at(r, 14)
os.mkfifo("fifo")
at(os.open("fifo", os.O_RDWR), 15)
os.write(15, b"in the fifo")
`,
  );
  const captured = capture(target);
  t.deepEqual(captured.problems, []);
  const pipeOf = (fd: number) => {
    const file = fileOf(captured, fd);
    return file.kind === 'pipe' ? { ...captured.table.pipes[file.pipe]!, end: file.end } : null;
  };
  const text = (content: readonly Uint8Array[]) => content.map((bytes) => Buffer.from(bytes).toString());
  t.like(pipeOf(10), { capacity: 1 << 18, end: 'read', path: '' });
  t.is(pipeOf(11)!.content[0]!.length, 100_000);
  t.deepEqual(text(pipeOf(12)!.content), ['first', 'second']);
  t.deepEqual(text(pipeOf(14)!.content), ['rest']);
  t.like(pipeOf(15), { end: 'both', path: join(target.folder, 'fifo') });
  t.deepEqual(text(pipeOf(15)!.content), ['in the fifo']);
  // Nothing was taken out.
  t.deepEqual(captured.table, capture(target).table);
});

test('eventfd and epoll sets, with a member whose number means another file by now', async (t) => {
  const target = await startTarget(
    t,
    `
at(os.eventfd(7), 10); at(os.eventfd(3, os.EFD_SEMAPHORE), 11)
r, w = os.pipe(); at(r, 12); at(w, 13)
inner = select.epoll(); outer = select.epoll()
os.dup2(inner.fileno(), 20); os.dup2(outer.fileno(), 21)
inner.register(12, select.EPOLLIN | select.EPOLLET)
outer.register(20, select.EPOLLIN)
os.dup2(11, 30)
outer.register(30, select.EPOLLIN | select.EPOLLONESHOT)
os.dup2(10, 30)
`,
  );
  const captured = capture(target);
  t.deepEqual(captured.problems, []);
  const index = (fd: number) => captured.table.descriptors.find((d) => d.fd === fd)!.file;
  t.like(fileOf(captured, 10), { kind: 'eventfd', count: 7n, semaphore: false });
  t.like(fileOf(captured, 11), { kind: 'eventfd', count: 3n, semaphore: true });
  t.like(fileOf(captured, 20), {
    kind: 'epoll',
    members: [{ fd: 12, file: index(12), events: 0x8000_0019, data: 12n }],
  });
  const outer = fileOf(captured, 21);
  const members = outer.kind === 'epoll' ? [...outer.members].sort((a, b) => a.fd - b.fd) : [];
  t.deepEqual(
    members.map(({ fd, file }) => [fd, file]),
    [
      [20, index(20)],
      [30, index(11)],
    ],
  );
});

test('members of a large epoll set are known by their inode', async (t) => {
  const target = await startTarget(
    t,
    `
e = select.epoll(); os.dup2(e.fileno(), 2000); e.close(); e = select.epoll.fromfd(2000)
for i in range(600):
    r, w = os.pipe(); e.register(r, select.EPOLLIN); e.register(w, select.EPOLLOUT)
a, b = socket.socketpair(); e.register(a); e.register(b); v = os.eventfd(0); e.register(v)
x, y = os.dup(a.fileno()), os.dup(b.fileno()); os.dup2(y, a.fileno()); os.dup2(x, b.fileno()); os.close(x); os.close(y)
at(a.detach(), 2001); at(b.detach(), 2002); at(v, 2003)
for fd in range(3, 2000):
    try: os.fstat(fd)
    except OSError: continue
    if fd % 3 == 0: os.dup2(fd, 3000 + fd); os.close(fd)
`,
  );
  const { table, problems } = capture(target);
  t.deepEqual(problems, []);
  const set = fileOf({ table }, 2000);
  if (set.kind !== 'epoll') throw new Error('no epoll set');
  t.is(set.members.length, 1203);
  const kinds = set.members.map(({ file, events }) => {
    const watched = table.files[file]!;
    return watched.kind === 'pipe' ? `${watched.end} ${events & 5}` : watched.kind;
  });
  const count = (what: string): number => kinds.filter((kind) => kind === what).length;
  t.deepEqual([count('read 1'), count('write 4'), count('unix'), count('eventfd')], [600, 600, 2, 1]);
  const pipes = set.members.flatMap(({ fd, file }) => {
    const watched = table.files[file]!;
    return watched.kind === 'pipe' ? [[fd, watched.pipe]] : [];
  });
  t.is(new Set(pipes.map(([, pipe]) => pipe)).size, 600);
});

test('an epoll member that no descriptor means is refused', async (t) => {
  const target = await startTarget(
    t,
    `
at(os.eventfd(1), 10)
e = select.epoll(); os.dup2(e.fileno(), 20); e.close()
e = select.epoll.fromfd(20)
e.register(10, select.EPOLLIN)
if os.fork() == 0: signal.pause()
os.close(10)
`,
  );
  const [problem] = capture(target).problems;
  t.regex(
    problem!,
    /^descriptor 20 \(epoll set\) cannot be carried: it watches a file, added as descriptor 10, that/,
  );
});

test('locks', async (t) => {
  const target = await startTarget(
    t,
    `
a = at(os.open("db", os.O_RDWR | os.O_CREAT), 10)
at(os.open("db", os.O_RDONLY), 9)
fcntl.lockf(a, fcntl.LOCK_EX, 10, 5)
fcntl.lockf(a, fcntl.LOCK_SH, 0, 100)
b = at(os.open("lock", os.O_RDWR | os.O_CREAT), 11)
fcntl.flock(b, fcntl.LOCK_EX)
`,
  );
  const captured = capture(target);
  t.deepEqual(captured.problems, []);
  const all = [...fileOf(captured, 9).locks, ...fileOf(captured, 10).locks];
  t.is(all.length, 2);
  t.deepEqual(
    fileOf(captured, 10).locks.filter(({ write }) => write),
    [{ type: 'posix', write: true, first: 5n, last: 14n }],
  );
  t.deepEqual(
    all.filter(({ write }) => !write),
    [{ type: 'posix', write: false, first: 100n, last: null }],
  );
  t.like(fileOf(captured, 11).locks[0], { type: 'flock', write: true });
});

test('what cannot be carried is refused by number, kind and path, and let go of by choice', async (t) => {
  const target = await startTarget(
    t,
    `
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16); s.bind((0, 0)); at(s.detach(), 10)
at(os.open("/proc/self/ns/net", os.O_RDONLY), 11)
at(os.open("moved", os.O_RDWR | os.O_CREAT), 12)
os.mkdir("far"); os.link("moved", "far/other"); os.unlink("moved")
at(os.open("/proc/1/status", os.O_RDONLY), 13)
f = at(os.open("log", os.O_RDWR | os.O_CREAT), 14)
os.write(f, b"12345")
r, w = os.pipe(); at(r, 15)
m, s = os.openpty(); at(m, 16)
if os.fork() == 0: signal.pause()
os.close(w); os.close(s)
`,
  );
  const { problems } = capture(target);
  t.regex(
    problems[0]!,
    /^descriptor 10 \(netlink socket, socket:\[\d+\]\) cannot be carried: .*; use --drop-fd 10, --external 10, or --fd 10=PATH$/,
  );
  t.regex(
    problems[1]!,
    /^descriptor 12 \(file, .*moved \(deleted\)\) cannot be carried: its path is gone; use --file '\/.*moved \(deleted\)=embed', --files embed/,
  );
  t.regex(problems[2]!, /^descriptor 13 \(file, \/proc\/\d+\/status\)/);
  t.regex(problems[3]!, /^descriptor 15 \(pipe, pipe:\[\d+\]\).*another process/);
  t.regex(problems[4]!, /^descriptor 16 \(pseudoterminal master, /);
  t.is(problems.length, 5);
  t.deepEqual(surveyDescriptors(target.pid), problems);
  const choices = parseChoices(['11', '12', 13, 15, 16], ['10=/dev/null', '14=copy'], target.folder);
  const captured = capture(target, choices);
  t.deepEqual(captured.problems, []);
  t.deepEqual(
    captured.table.descriptors.map(({ fd }) => fd),
    [0, 1, 2, 10, 14],
  );
  t.like(fileOf(captured, 10), { kind: 'file', type: 'chosen', path: '/dev/null', offset: 0n });
  t.like(fileOf(captured, 14), {
    kind: 'file',
    type: 'chosen',
    path: join(target.folder, 'copy'),
    offset: 5n,
  });
  for (const name of ['moved', 'moved (deleted)']) {
    const moved = new FileDecisions(parseFileChoices('reopen', [`${name}=embed`], target.folder));
    const embedded = capture(target, parseChoices([10, 13, 15, 16], []), moved);
    t.deepEqual(embedded.problems, []);
    t.is(fileOf(embedded, 12).kind, 'object');
    t.notThrows(() => moved.assertUsed(target.pid));
  }
  const unknown = parseChoices([99], [], '/');
  const expectation = {
    instanceOf: UsageError,
    message: `--drop-fd 99: process ${target.pid} has no descriptor 99`,
  };
  t.throws(() => surveyDescriptors(target.pid, unknown), expectation);
  t.throws(() => capture(target, unknown), expectation);
});

test('what tells of a descriptor needs that in the image', async (t) => {
  const target = await startTarget(
    t,
    `
for fd in 10, 11, 12:
  os.dup2(0, 20 + fd); at(os.open(f"/proc/self/fdinfo/{20 + fd}", os.O_RDONLY), fd)
os.close(31); os.close(32)
print(os.path.exists("/proc/self/fdinfo/32"))  # the kernel notes that it is gone
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 2, problems.join('\n'));
  t.regex(problems[0]!, /^descriptor 11 .* cannot be carried: it tells of descriptor 31, which is closed;/);
  t.regex(problems[1]!, /^descriptor 12 .* \(deleted\)\) .* it tells of a descriptor that was closed;/);
  t.like(fileOf(capture(target, parseChoices([11, 12], [])), 10), {
    path: '/proc/self/fdinfo/30',
    late: { thread: null },
  });
  t.regex(
    capture(target, parseChoices([11, 12, 30], [])).problems[0]!,
    /^descriptor 10 .*: it tells of descriptor 30, which is dropped; use --drop-fd 10,/,
  );
});

test('streams: 0, 1 and 2 on pipes and sockets to the outside, and what shares them', async (t) => {
  const target = await startTarget(
    t,
    `
a = os.pipe(); b = os.pipe()
if os.fork() == 0: signal.pause()
os.dup2(a[0], 0); os.dup2(b[1], 1)
os.write(a[1], b"unread")
for fd in a + b: os.close(fd)
os.dup2(1, 10)
at(os.open("/proc/self/fd/1", os.O_WRONLY), 11)
`,
    ['ignore', 'ignore', 'pipe'],
  );
  const captured = capture(target);
  t.deepEqual(captured.problems, []);
  const streams = [0, 1, 2, 10, 11].map((fd) => fileOf(captured, fd));
  t.deepEqual(
    streams.map((file) => (file.kind === 'stream' ? file.stream : file.kind)),
    [0, 1, 2, 1, 1],
  );
  t.is(captured.warnings.length, 1);
  t.regex(captured.warnings[0]!, /^descriptor 0 .* 6 bytes/);
});

test('standard input whose writer has gone is carried with what is left', async (t) => {
  const target = await startTarget(
    t,
    `
r, w = os.pipe()
os.write(w, b"left"); os.close(w); os.dup2(r, 0); os.close(r)
`,
  );
  const captured = capture(target);
  t.like(fileOf(captured, 0), { kind: 'pipe', end: 'read' });
  t.is(Buffer.from(captured.table.pipes[0]!.content[0]!).toString(), 'left');
});

test('a path that is not UTF-8 is kept, and offered as no choice', async (t) => {
  const target = await startTarget(
    t,
    `
at(os.open(b"\\xff", os.O_RDWR | os.O_CREAT), 10)
at(os.open(b"\\xfe", os.O_RDWR | os.O_CREAT), 11)
os.link(b"\\xfe", b"../kept-\\xfe")
os.unlink(b"\\xfe")
at(os.open("\\ufffd", os.O_RDWR | os.O_CREAT), 12)
`,
  );
  const captured = capture(target, parseChoices([11], [], '/'));
  t.deepEqual(captured.problems, []);
  t.like(fileOf(captured, 10), { kind: 'file', path: join(target.folder, '\udcff') });
  t.like(fileOf(captured, 12), { kind: 'file', path: join(target.folder, '\ufffd') });
  const [problem] = surveyDescriptors(target.pid);
  t.regex(problem!, /^descriptor 11 .*its path is gone/);
  t.notRegex(problem!, /--file /);
});
