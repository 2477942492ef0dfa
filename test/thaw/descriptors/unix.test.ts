import { once } from 'node:events';
import { existsSync, mkdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { refusal, roundTrip, withContent } from './support.js';

test('pairs of all types, with what waits in them', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
n = 10
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    a, b = socket.socketpair(socket.AF_UNIX, kind)
    a.setblocking(False)
    a.send(b"to b"); b.send(b"to a" * 500)
    a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 30000)
    b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 3, 500000))
    at(a.detach(), n); at(b.detach(), n + 1); os.dup2(n, n + 2, inheritable=False)
    n += 10
a, b = socket.socketpair()
a.setblocking(False)
try:
    while True: a.send(b"full" * 1000)
except BlockingIOError: pass
at(a.detach(), 40); at(b.detach(), 41)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.send(b"passes no more")
none = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
b.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", 1, ctypes.addressof(none))); b.setsockopt(socket.SOL_SOCKET, 44, 1)
at(a.detach(), 42); at(b.detach(), 43)
a, b = socket.socketpair()
os.dup2(a.detach(), 0); os.dup2(b.detach(), 1)
os.write(0, b"on 1")
`,
  );
  t.is(before.table.files.filter(({ kind }) => kind === 'unix').length, 12);
  t.deepEqual(after.table, before.table);
});

test('several messages, empty ones and such with credentials among them', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
for n, kind in ((10, socket.SOCK_DGRAM), (20, socket.SOCK_SEQPACKET)):
    a, b = socket.socketpair(socket.AF_UNIX, kind)
    for text in (b"", b"one", b"", b"two" * 1000, b"three", b""): a.send(text)
    for i in range(40): b.send(b"%d" % i)
    at(a.detach(), n); at(b.detach(), n + 1)
    a, b = socket.socketpair(socket.AF_UNIX, kind); b.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    for text in (b"who", b"sent"): a.send(text)
    at(a.detach(), n + 2); at(b.detach(), n + 3)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); a.send(b"last"); a.send(b"words"); a.shutdown(socket.SHUT_WR)
at(a.detach(), 30); at(b.detach(), 31)
`,
  );
  t.deepEqual(after.table, before.table);
  const content = (fd: number) => {
    const file = fileOf(before, fd);
    return file.kind === 'unix' ? file.content.map((bytes) => String(Buffer.from(bytes)).slice(0, 5)) : [];
  };
  const numbers = Array.from({ length: 40 }, (_, i) => String(i));
  for (const n of [10, 20]) {
    t.deepEqual(content(n + 1), ['', 'one', '', 'twotw', 'three', '']);
    t.deepEqual(content(n), numbers);
    t.like(fileOf(before, n + 3), { credentials: true, content: { length: 2 } });
  }
  t.deepEqual(content(31), ['last', 'words']);
  for (const fd of [10, 11, 31]) {
    const options = fileOf(before, fd);
    t.false(
      options.kind === 'unix' && options.options.some(({ option }) => option === 42),
      'SO_PEEK_OFF is back',
    );
  }
});

test('messages whose program is told by pidfds who sent them', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
n = 10
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    for options in ((76,), (76, socket.SO_PASSCRED)):
        a, b = socket.socketpair(socket.AF_UNIX, kind)
        for option in options: b.setsockopt(socket.SOL_SOCKET, option, 1)
        a.send(b"one")
        # In a stream the two would be seen as one.
        if kind != socket.SOCK_STREAM: a.send(b"two"); socket.send_fds(a, [b"three"], [0])
        else: socket.send_fds(a, [b""] + [b"three"], [0])
        at(a.detach(), n); at(b.detach(), n + 1)
        n += 2
a, b = socket.socketpair(); a.send(b"nobody's"); b.setsockopt(socket.SOL_SOCKET, 76, 1)
at(a.detach(), 30); at(b.detach(), 31)
`,
  );
  t.deepEqual(after.table, before.table);
  const own = { uid: process.getuid!(), gid: process.getgid!() };
  for (const [fd, count] of [
    [11, 2],
    [15, 3],
    [19, 3],
  ] as const) {
    t.like(fileOf(before, fd), { credentials: true, senders: [], content: { length: count } });
    t.like(fileOf(before, fd + 2), { credentials: true, senders: Array(count).fill(own) });
  }
  t.like(fileOf(before, 31), { credentials: false, content: { length: 1 } });
});

test('options by which a read tells more', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
for n, kind in ((10, socket.SOCK_STREAM), (12, socket.SOCK_DGRAM), (14, socket.SOCK_SEQPACKET)):
    a, b = socket.socketpair(socket.AF_UNIX, kind); b.setsockopt(socket.SOL_SOCKET, 34, 1); a.send(b"labelled")
    at(a.detach(), n); at(b.detach(), n + 1)
a, b = socket.socketpair(); at(a.detach(), 16); at(b.detach(), 17)
s = socket.socket(fileno=os.dup(17))
try: s.setsockopt(socket.SOL_SOCKET, 84, 1)
except OSError: pass # Linux 6.17
s.detach(); os.write(16, b"how much")
`,
  );
  t.deepEqual(after.table, before.table);
  for (const fd of [11, 13, 15])
    t.like(fileOf(before, fd), { content: { length: 1 }, options: [{ option: 34 }] });
});

test('datagram sockets that are connected to each other by their names', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
folder = os.getcwd()
for n, names in ((10, ["\\0one %d" % os.getpid(), "\\0two %d" % os.getpid()]), (20, [folder + "/one", folder + "/two"])):
    one, two = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in names]
    one.bind(names[0]); two.bind(names[1]); one.connect(names[1]); two.connect(names[0])
    at(one.detach(), n); at(two.detach(), n + 1)
`,
  );
  t.deepEqual(after.table, before.table);
  for (const fd of [10, 11, 20, 21]) t.like(fileOf(before, fd), { peerCredentials: null });
  t.is((fileOf(before, 20) as { peer: number }).peer, before.table.files.indexOf(fileOf(before, 21)));
});

test('ends that are shut down, or gone', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
a, b = socket.socketpair(); a.send(b"last"); a.shutdown(socket.SHUT_WR)
at(a.detach(), 10); at(b.detach(), 11)
a, b = socket.socketpair(); b.send(b"rest"); b.close(); at(a.detach(), 12)
a, b = socket.socketpair(); a.send(b"unread"); b.close(); at(a.detach(), 13)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); b.close(); at(a.detach(), 14)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.shutdown(socket.SHUT_RD)
at(a.detach(), 15); at(b.detach(), 16)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); b.send(b"rest"); b.close(); at(a.detach(), 17)
`,
  );
  const states = before.table.files.flatMap((file) =>
    file.kind === 'unix' ? [[file.gone?.reset ?? null, file.shutdown]] : [],
  );
  t.deepEqual(states, [
    [null, 2],
    [null, 1],
    [false, 3],
    [true, 3],
    [false, 0],
    [null, 1],
    [null, 0],
    [false, 3],
  ]);
  t.deepEqual(after.table, before.table);
});

test('names: abstract, by path, of listening sockets and those they accepted', async (t) => {
  const { before, after, target } = await roundTrip(
    t,
    `
def listen(name, n):
    l = socket.socket(socket.AF_UNIX); l.bind(name); l.listen(7); name = l.getsockname()
    c = socket.socket(socket.AF_UNIX); c.connect(name)
    s, _ = l.accept()
    c.send(b"hello"); s.send(b"welcome")
    return [at(x.detach(), n + i) for i, x in enumerate((l, c, s))]
folder = os.getcwd()
listen("\\0abstract %d" % os.getpid(), 10)
listen("", 15)
listen(folder + "/path", 20)
os.chmod("path", 0o640)
listen(folder + "/gone", 30); os.close(30); os.unlink("gone")
listen(folder + "/stale", 40); os.close(40)
d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); d.bind(folder + "/datagrams"); at(d.detach(), 50)
e = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); e.connect(folder + "/datagrams"); at(e.detach(), 51)
at(socket.socket(socket.AF_UNIX).detach(), 52)
at(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach(), 53)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind(folder + "/bound"); at(s.detach(), 54)
c = socket.socket(socket.AF_UNIX); c.bind(folder + "/client"); c.connect(folder + "/path")
l = socket.socket(fileno=os.dup(20)); s, _ = l.accept(); l.close()
at(c.detach(), 55); at(s.detach(), 56)
listen(folder + "/temporary", 60); os.chmod("temporary", 0o604); os.rename("temporary", "moved")
`,
  );
  t.deepEqual(after.table, before.table);
  t.is(statSync(join(target.folder, 'path')).mode & 0o777, 0o640);
  t.true(existsSync(join(target.folder, 'stale')));
  t.false(existsSync(join(target.folder, 'gone')));
  t.is(statSync(join(target.folder, 'moved')).mode & 0o777, 0o604);
  t.false(existsSync(join(target.folder, 'temporary')));
  t.true(await answers(join(target.folder, 'moved')));
});

test('names that are relative paths start at the folder where their files are', async (t) => {
  const { before, after, target } = await roundTrip(
    t,
    `
folder = os.getcwd()
os.mkdir("sub"); at(os.open(folder, os.O_RDONLY), 9); at(os.open("sub", os.O_PATH), 8)
def listen(name, n):
    l = socket.socket(socket.AF_UNIX); l.bind(name); l.listen(7)
    c = socket.socket(socket.AF_UNIX); c.connect(name); s, _ = l.accept(); c.send(b"hello")
    for i, x in enumerate((l, c, s)): at(x.detach(), n + i)
listen("path", 20); listen("./dot", 30)
os.chdir("sub"); listen("path", 40); listen("../up", 50)
d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); d.bind("datagrams"); at(d.detach(), 60)
e = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); e.connect("datagrams"); at(e.detach(), 61)
os.chdir("/")
`,
  );
  const sub = join(target.folder, 'sub');
  const starts = [20, 30, 40, 42, 50, 60, 61].map((fd) => {
    const file = fileOf(before, fd);
    return file.kind === 'unix' ? file.folder : undefined;
  });
  t.deepEqual(starts, [target.folder, target.folder, sub, sub, sub, sub, null]);
  t.deepEqual(after.table, before.table);
  for (const name of ['path', 'dot', 'up', 'sub/path'])
    t.true(await answers(join(target.folder, name)), name);
});

test('a relative name that leads nowhere from the folders of the process is refused', async (t) => {
  const target = await startTarget(
    t,
    `
os.mkdir("sub"); os.chdir("sub")
l = socket.socket(socket.AF_UNIX); l.bind("path"); l.listen(); at(l.detach(), 10)
os.chdir("..")
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 1);
  t.regex(problems[0]!, /^descriptor 10 .*: its name path is a relative path, .*; use --drop-fd 10/);
});

test('a relative path that is taken is refused, and left alone', async (t) => {
  const target = await startTarget(
    t,
    'l = socket.socket(socket.AF_UNIX); l.bind("path"); l.listen(); at(l.detach(), 10)',
  );
  const { table, objects } = capture(target);
  const planned = withContent(table, objects);
  for (const flags of [0, 2]) {
    t.regex(
      await refusal(t, planned, flags),
      /^cannot bind \/.*\/path \(descriptor 10, .*: another socket is/,
    );
  }
  t.true(await answers(join(target.folder, 'path')));
});

/** Whether somebody listens at a path. */
async function answers(path: string): Promise<boolean> {
  const client = connect(path);
  const answered = await Promise.race([
    once(client, 'connect').then(() => true),
    once(client, 'error').then(() => false),
  ]);
  client.destroy();
  return answered;
}

test('a file that was moved is refused where something else is now, and a listener without one is named', async (t) => {
  const target = await startTarget(
    t,
    `
folder = os.getcwd()
l = socket.socket(socket.AF_UNIX); l.bind(folder + "/temporary"); l.listen(); os.rename("temporary", "moved"); at(l.detach(), 10)
m = socket.socket(socket.AF_UNIX); m.bind(folder + "/gone"); m.listen(); os.unlink("gone"); at(m.detach(), 11)
`,
  );
  const { table, objects, warnings } = capture(target);
  t.is(warnings.length, 1);
  t.regex(warnings[0]!, /^descriptor 11: nothing leads to .*gone any more, at which it listens/);
  target.child.kill('SIGKILL');
  await once(target.child, 'exit');
  const moved = join(target.folder, 'moved');
  unlinkSync(moved);
  writeFileSync(moved, 'a file');
  const planned = withContent(table, objects);
  t.is(
    await refusal(t, planned),
    `cannot move it to ${moved} (descriptor 10, Unix domain socket): something else than a socket is there\n`,
  );
  t.false(existsSync(join(target.folder, 'temporary')));
  unlinkSync(moved);
  mkdirSync(moved);
  t.regex(
    await refusal(t, planned),
    /^cannot move it to .*moved \(descriptor 10, Unix domain socket\): something else/,
  );
});

test('a bound socket is named whose file may be among too many', async (t) => {
  const target = await startTarget(
    t,
    `
folder = os.getcwd() + "/full"
os.mkdir(folder)
at(os.open("log", os.O_RDWR | os.O_CREAT), 9); os.link("log", "left"); os.unlink("log")
for n, name in (10, "/one"), (11, "/two"):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(folder + name); os.unlink(folder + name); at(s.detach(), n)
for n in range(20000): os.mkdir(folder + "/%d" % n)
`,
  );
  const captured = capture(target);
  const { warnings } = captured;
  t.is(warnings.length, 2);
  t.regex(warnings[0]!, /^descriptor 10: its file is not at .*one any more, and too much is in the folder/);
  t.regex(warnings[1]!, /^descriptor 11: /);
  const file = fileOf(captured, 10);
  t.true(file.kind === 'unix' && file.node === null);
});

test('who has left a path is bound before who has it now', async (t) => {
  const { target, before, after } = await roundTrip(
    t,
    `
folder = os.getcwd()
def listen(name, n):
    l = socket.socket(socket.AF_UNIX); l.bind(folder + name); l.listen(); at(l.detach(), n)
listen("/path", 20); os.rename("path", "older")
listen("/path", 30); os.unlink("path")
listen("/path", 10)
listen("/older.new", 11); os.rename("older.new", "oldest"); listen("/oldest.new", 12); os.rename("oldest.new", "older.new")
`,
  );
  t.deepEqual(after.table, before.table);
  for (const name of ['path', 'older', 'oldest', 'older.new'])
    t.true(await answers(join(target.folder, name)), name);
});

test('a path that is taken is refused, and left alone', async (t) => {
  const target = await startTarget(
    t,
    `
for i, name in enumerate(("first", "second")):
    l = socket.socket(socket.AF_UNIX); l.bind(os.getcwd() + "/" + name); l.listen(); at(l.detach(), 10 + i)
`,
  );
  const { table, objects } = capture(target);
  const planned = withContent(table, objects);
  const [first, second] = [join(target.folder, 'first'), join(target.folder, 'second')];
  // The process that was captured still listens there.
  for (const flags of [0, 2]) {
    t.regex(
      await refusal(t, planned, flags),
      /first \(descriptor 10, Unix domain socket\): another socket is bound to it\n/,
    );
  }
  target.child.kill('SIGKILL');
  const listener = await startTarget(
    t,
    `
os.unlink(${JSON.stringify(second)})
open(${JSON.stringify(second)}, "w").write("a file")
`,
  );
  t.truthy(listener.pid);
  t.is(
    await refusal(t, planned),
    `cannot bind ${second} (descriptor 11, Unix domain socket): something else than a socket is there\n`,
  );
  t.true(statSync(first).isSocket());
  t.true(statSync(second).isFile());
});

test('what cannot be carried is named', async (t) => {
  const target = await startTarget(
    t,
    `
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.send(b""); b.recv(1, socket.MSG_PEEK); a.send(b"two")
at(a.detach(), 10); at(b.detach(), 11)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); a.send(b"one"); a.send(b""); b.recv(1, socket.MSG_PEEK)
a.send(b"three"); b.recv(3); b.recv(1, socket.MSG_PEEK)
at(a.detach(), 12); at(b.detach(), 13)
i, w = os.pipe(); os.close(w); fcntl.fcntl(i, 10, 50); fcntl.fcntl(i, fcntl.F_SETFL, os.O_ASYNC)
a, b = socket.socketpair(); socket.send_fds(a, [b"x"], [i]); os.dup2(0, i)
at(a.detach(), 14); at(b.detach(), 15)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); a.send(b"x"); b.setsockopt(socket.SOL_SOCKET, 42, 0)
at(a.detach(), 16); at(b.detach(), 17)
a, b = socket.socketpair(); a.send(b"xyz", socket.MSG_OOB)
at(a.detach(), 18); at(b.detach(), 19)
a, b = socket.socketpair(); b.setsockopt(socket.SOL_SOCKET, 76, 1)
child = os.fork()
if child == 0: a.send(b"from"); os._exit(0)
os.waitpid(child, 0)
at(a.detach(), 20); at(b.detach(), 21)
`,
  );
  const refused = (numbers: number[]) => capture(target, parseChoices(numbers, [])).problems;
  const others = [10, 12, 14, 16, 18, 20].filter((number) => number !== 10);
  t.deepEqual(refused([...others, ...others.map((number) => number + 1)]).length, 1);
  const drop = (kept: number) =>
    [10, 12, 14, 16, 18, 20].filter((n) => n !== kept).flatMap((n) => [n, n + 1]);
  const expected: [number, RegExp][] = [
    [
      10,
      /^descriptor 11 \(socket, socket:\[\d+\]\) cannot be carried: of the messages that wait in it not all/,
    ],
    [12, /^descriptor 13 .*: of the messages that wait in it not all/],
    [14, /^what is on its way in descriptor 15 \(pipe, .*: its signals \(F_SETSIG\) .*; use --drop-fd 15/],
    [16, /^descriptor 17 .*SO_PEEK_OFF/],
    [18, /^descriptor 19 .*MSG_OOB/],
    [20, /^descriptor 21 .*a pidfd of a process that has ended.* \(SO_PASSPIDFD\)/],
  ];
  for (const [kept, message] of expected) {
    const problems = refused(drop(kept));
    t.is(problems.length, 1);
    t.regex(problems[0]!, message);
  }
});

test('connections that nobody has accepted', async (t) => {
  const target = await startTarget(
    t,
    `
l = socket.socket(socket.AF_UNIX); l.bind("\\0pending %d" % os.getpid()); l.listen()
if os.fork() == 0:
    c = socket.socket(socket.AF_UNIX); c.connect(l.getsockname()); l.close(); os.write(1, b"x"); signal.pause()
os.read(0, 1)
c = socket.socket(socket.AF_UNIX); c.connect(l.getsockname())
at(l.detach(), 10); at(c.detach(), 11)
`.replace(/^/, 'r, w = os.pipe(); os.dup2(r, 0); os.dup2(w, 1); os.close(r); os.close(w)\n'),
  );
  const refused = capture(target, parseChoices([0, 1], [])).problems;
  t.is(refused.length, 1);
  t.regex(refused[0]!, /^descriptor 11 .*: its connection has not been accepted yet; use --drop-fd 11/);
  const { warnings, problems } = capture(target, parseChoices([0, 1, 11], []));
  t.deepEqual(problems, []);
  t.regex(
    warnings.join(),
    /^descriptor 10: 2 connections that wait to be accepted at @pending \d+ are not carried$/,
  );
});

test('sockets to other processes are refused, or found closed', async (t) => {
  const code = `
a, b = socket.socketpair(); b.send(b"had arrived")
if os.fork() == 0:
    a.close(); signal.pause()
b.close(); at(a.detach(), 10)
`;
  const target = await startTarget(t, code);
  t.regex(
    capture(target).problems.join('\n'),
    /^descriptor 10 .* is connected to another process.*--unix-peer close.*$/,
  );
  const { before, after } = await roundTrip(t, code, { ...parseChoices([], []), unixPeer: 'close' });
  const closed = before.table.files.at(-1)!;
  t.like(closed, { gone: { reset: false }, shutdown: 3, letGo: true });
  if (closed.kind === 'unix') delete closed.letGo; // by now nobody else has the other end
  t.deepEqual(after.table, before.table);
});

test('a reference by O_PATH to the file of a socket of its own leads to the one that is bound anew', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
folder = os.getcwd()
l = socket.socket(socket.AF_UNIX); l.bind(folder + "/path"); l.listen(); at(l.detach(), 10)
at(os.open("path", os.O_PATH), 11); os.dup2(11, 12)
`,
  );
  t.deepEqual(after.table, before.table);
});
