/** What is on its way in Unix domain sockets (SCM_RIGHTS), carried. */
import { readdirSync } from 'node:fs';
import test from 'ava';
import type { OpenFile, OpenFileOf } from '../../../src/snapshot/descriptors.js';
import { Flag } from '../../../src/thaw/program.js';
import { capture, fileOf, startTarget, untilStopped } from '../../proc/descriptors/support.js';
import { carried, SOCKETS, same, socketAt } from './rights.js';

type Socket = OpenFileOf<'unix'>;

test('in a stream: where in it, and what', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11)
os.write(11, b'plain'); os.write(11, b'er')
at(os.eventfd(5, os.EFD_SEMAPHORE), 20); at(os.memfd_create('mem'), 21); os.write(21, b'content')
send(11, b'with two', 20, 21)
os.write(11, b'between')
os.mkfifo('fifo'); at(os.open('/dev/null', os.O_RDWR), 22); at(os.open('/etc/passwd', os.O_RDONLY), 23)
os.lseek(23, 7, os.SEEK_SET)
send(11, b'x', 22); send(11, b'y', 23)
os.write(11, b'tail')
`,
  );
  const socket = socketAt(before, 10);
  t.deepEqual(
    socket.content.map((bytes) => Buffer.from(bytes).toString()),
    ['plainer', 'with two', 'between', 'x', 'y', 'tail'],
  );
  t.like(carried(before, socket), [
    ['with two', { kind: 'eventfd', count: 5n, semaphore: true }, { kind: 'object', offset: 7n }],
    ['x', { kind: 'file', path: '/dev/null' }],
    ['y', { kind: 'file', path: '/etc/passwd', offset: 7n }],
  ]);
});

test('in messages, empty ones too', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11, socket.SOCK_DGRAM); pair(12, 13, socket.SOCK_SEQPACKET)
for to in (11, 13):
    os.write(to, b'first')
    at(os.eventfd(1), 20); at(os.eventfd(2), 21)
    send(to, b'second', 20); send(to, b'', 21)
    os.write(to, b'last')
socket.socket(fileno=os.dup(13)).shutdown(socket.SHUT_WR)
pair(14, 15, socket.SOCK_SEQPACKET)
socket.socket(fileno=os.dup(14)).setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
at(os.eventfd(3), 20); send(15, b'third', 20)
`,
  );
  for (const fd of [10, 12]) {
    t.like(carried(before, socketAt(before, fd)), [
      ['second', { count: 1n }],
      ['', { count: 2n }],
    ]);
  }
  t.true(socketAt(before, 14).credentials);
});

test('in a connection that was accepted', async (t) => {
  const { before } = await same(
    t,
    `
l = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); l.bind(os.getcwd() + '/name'); l.listen()
c = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); c.connect(l.getsockname())
at(c.detach(), 11); at(l.accept()[0].detach(), 10); at(l.detach(), 12)
send(11, b'first', at(os.eventfd(1), 20)); os.write(11, b'second'); send(11, b'third', at(os.eventfd(2), 20))
send(10, b'back', at(os.eventfd(3), 20))
`,
  );
  t.like(carried(before, socketAt(before, 10)), [
    ['first', { count: 1n }],
    ['third', { count: 2n }],
  ]);
  t.like(carried(before, socketAt(before, 11)), [['back', { count: 3n }]]);
});

test('the ends of pipes and pairs that have no number', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11); pair(20, 21)
r, w = os.pipe(); at(r, 30); at(w, 31); os.write(31, b'unread')
send(11, b'end', 31)
send(11, b'both', *[at(fd, 40 + i) for i, fd in enumerate(os.pipe())])
os.write(20, b'for the one on its way')
send(11, b'peer', 21)
`,
  );
  const [[, writer], [, reader, both], [, peer]] = carried(before, socketAt(before, 10)) as [
    [string, OpenFile],
    [string, OpenFile, OpenFile],
    [string, OpenFile],
  ];
  t.like(writer, { kind: 'pipe', end: 'write' });
  t.like(
    [reader, both],
    [
      { kind: 'pipe', pipe: 1 },
      { pipe: 1, end: 'write' },
    ],
  );
  t.is((peer as Socket).peer, before.table.descriptors.find(({ fd }) => fd === 20)!.file);
  t.is(Buffer.from((peer as Socket).content[0]!).toString(), 'for the one on its way');
});

test('nested, and in their own queues', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11); pair(20, 21); pair(30, 31, socket.SOCK_DGRAM)
at(os.eventfd(7), 40)
send(31, b'innermost', 40)
send(21, b'inner', 30, 31)
send(11, b'outer', 20, 21)
pair(12, 13)
send(13, b'itself and its other end', 12, 13, close=False); os.close(13)
`,
  );
  const [[, inner]] = carried(before, socketAt(before, 10)) as [[string, Socket]];
  const [[, innermost]] = carried(before, inner) as [[string, Socket]];
  t.like(carried(before, innermost), [['innermost', { kind: 'eventfd', count: 7n }]]);
  const self = socketAt(before, 12);
  t.is(carried(before, self)[0]![1], self);
  t.is(carried(before, self)[0]![2], before.table.files[self.peer!]);
});

test('what is shared with a descriptor, or sent twice, is one description', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11)
at(os.open('/etc/passwd', os.O_RDONLY), 20); at(os.open('/etc/passwd', os.O_RDONLY), 21)
send(11, b'a', 20, 21, 20, close=False)
os.close(21)
at(os.eventfd(0), 22); send(11, b'b', 22, 22)
send(11, b'c', 10, 0, close=False)
`,
  );
  const socket = socketAt(before, 10);
  const numberOf = (fd: number) => before.table.descriptors.find((one) => one.fd === fd)!.file;
  const [first, second, third] = socket.passed.map(({ files }) => files) as [number[], number[], number[]];
  t.deepEqual([first[0], first[2]], [numberOf(20), numberOf(20)]);
  t.not(first[1], first[0]);
  t.is(second[0], second[1]);
  t.deepEqual(third, [numberOf(10), numberOf(0)]);
});

test('epoll sets: on their way, and with members that are', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11)
e = select.epoll(); at(os.dup(e.fileno()), 20); e.close(); e = select.epoll.fromfd(20)
at(os.eventfd(0), 21); e.register(21, select.EPOLLIN | select.EPOLLET)
at(os.eventfd(1), 22); e.register(22, select.EPOLLOUT)
e2 = select.epoll(); at(os.dup(e2.fileno()), 23); e2.close(); e2 = select.epoll.fromfd(23)
e2.register(21, select.EPOLLIN); e2.register(11, select.EPOLLIN)
send(11, b'member', 21)
send(11, b'set', 23)
`,
  );
  const socket = socketAt(before, 10);
  const [[, member], [, set]] = carried(before, socket) as [
    [string, OpenFile],
    [string, OpenFileOf<'epoll'>],
  ];
  t.is(member.kind, 'eventfd');
  t.deepEqual(set.members.map(({ fd, file }) => [fd, before.table.files[file]!.kind]).sort(), [
    [11, 'unix'],
    [21, 'eventfd'],
  ]);
  const watching = fileOf(before, 20) as OpenFileOf<'epoll'>;
  t.is(before.table.files[watching.members.find(({ fd }) => fd === 21)!.file], member);
  t.is(watching.members.length, 2);
});

test('timers, signals, locks, sockets, deleted files', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11)
timer = at(libc.timerfd_create(1, 0), 20)
assert libc.timerfd_settime(timer, 0, struct.pack('4q', 5, 0, 1000, 0), None) == 0
send(11, b'timer', 20)
send(11, b'signals', at(libc.signalfd(-1, struct.pack('Q', 512), os.O_NONBLOCK), 20))
at(os.open('gone', os.O_RDWR | os.O_CREAT), 20); os.write(20, b'content'); os.unlink('gone')
fcntl.flock(20, fcntl.LOCK_EX); send(11, b'deleted', 20)
at(os.open('kept', os.O_RDWR | os.O_CREAT), 20); at(os.open('kept', os.O_RDWR), 21)
fcntl.fcntl(20, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 3, 4, 0))
send(11, b'kept', 20); fcntl.lockf(21, fcntl.LOCK_EX, 1, 9)
send(11, b'listens', at(socket.create_server(('127.0.0.1', 0)).detach(), 23))
u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0)); send(11, b'udp', at(u.detach(), 23))
n = socket.socket(socket.AF_UNIX); n.bind(os.getcwd() + '/name'); n.listen(3)
send(11, b'unix', at(n.detach(), 23))
`,
  );
  t.like(carried(before, socketAt(before, 10)), [
    ['timer', { kind: 'timerfd', interval: 5_000_000_000n }],
    ['signals', { kind: 'signalfd', mask: 512n }],
    ['deleted', { kind: 'object', locks: [{ type: 'flock', write: true }] }],
    ['kept', { kind: 'file', locks: [{ type: 'ofd', first: 3n, last: 6n }] }],
    ['listens', { kind: 'inet', backlog: 128 }],
    ['udp', { kind: 'inet', protocol: 'udp' }],
    ['unix', { kind: 'unix', backlog: 3 }],
  ]);
  t.like(fileOf(before, 21), { locks: [{ type: 'posix', first: 9n, last: 9n }] });
});

test('the other end is closed, and nobody has it any more', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11); at(os.eventfd(4), 20); send(11, b'left', 20)
at(os.eventfd(5), 20); s = socket.socket(fileno=os.dup(11)); s.send(b'a'); send(11, b'b', 20); s.close(); os.close(11)
`,
  );
  t.like(socketAt(before, 10).gone, { reset: false });
  t.is(carried(before, socketAt(before, 10)).length, 2);
});

test('what watches files, sends signals or has a lease', async (t) => {
  const { before } = await same(
    t,
    `
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
def watch(fd, path, mask): return libc.inotify_add_watch(fd, path, ctypes.c_uint32(mask))
pair(10, 11); pair(12, 13)
os.mkdir('watched'); open('watched/file', 'w').close()
i = at(libc.inotify_init1(os.O_NONBLOCK), 20)
for _ in range(6): libc.inotify_rm_watch(i, watch(i, b'watched', 0x100))
os.read(i, 1000); watch(i, b'watched', 0xfff)
fcntl.fcntl(i, fcntl.F_SETOWN, os.getpid()); fcntl.fcntl(i, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
e = select.epoll(); os.dup2(e.fileno(), 30); e.close(); e = select.epoll.fromfd(30); e.register(i, select.EPOLLIN)
send(11, b'inotify', i)
at(libc.inotify_init1(0), 20); watch(20, b'watched/file', 0x8)
send(11, b'another', 20)
r, w = os.pipe(); at(w, 22); at(r, 20); fcntl.fcntl(20, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(20, fcntl.F_SETFL, os.O_ASYNC)
send(11, b'signals', 20)
at(os.eventfd(0), 20); fcntl.fcntl(20, 10, 50); fcntl.fcntl(20, 15, struct.pack('ii', 0, os.getpid()))
send(11, b'later', 20)
at(os.open('leased', os.O_RDWR | os.O_CREAT), 20); fcntl.fcntl(20, 1024, fcntl.F_WRLCK)
send(11, b'lease', 20)
at(os.open('locked', os.O_RDWR | os.O_CREAT), 20); at(os.open('locked', os.O_RDWR), 23)
fcntl.fcntl(20, fcntl.F_SETOWN, os.getpid()); send(11, b'locked', 20); fcntl.lockf(23, fcntl.LOCK_EX, 1, 9)
at(libc.inotify_init1(0), 20); watch(20, b'.', 0xfff); send(11, b'all', 20)
`,
  );
  t.like(carried(before, socketAt(before, 10)), [
    ['inotify', { kind: 'inotify', watches: [{ wd: 7, mask: 0xfff }], signals: { signal: 0 } }],
    ['another', { kind: 'inotify', watches: [{ wd: 1, mask: 0x8 }] }],
    ['signals', { kind: 'pipe', signals: { owner: { kind: 'process' }, signal: 0 } }],
    ['later', { kind: 'eventfd', signals: { owner: { kind: 'thread', tid: null }, signal: 50 } }],
    ['lease', { kind: 'file', lease: 'write', signals: { owner: { kind: 'process' } } }],
    ['locked', { kind: 'file', signals: { owner: { kind: 'process' } } }],
    ['all', { kind: 'inotify' }],
  ]);
  t.like(fileOf(before, 23), { locks: [{ type: 'posix', first: 9n }] });
});

test('marks', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11); os.mkdir('watched')
f = libc.fanotify_init(0x200 | 0x2, 0); assert f >= 0
assert libc.fanotify_mark(f, 1, ctypes.c_ulonglong(0x40000300), -100, b'watched') == 0
send(11, b'fanotify', at(f, 20))
`,
  );
  const marks = [{ of: 'inode', mask: 0x4000_0300, type: 'directory' }];
  t.like(carried(before, socketAt(before, 10)), [['fanotify', { kind: 'fanotify', marks }]]);
});

test('pseudoterminals: both sides, one of them, one that is hung up, that of the session', async (t) => {
  const { before } = await same(
    t,
    `
import termios
pair(10, 11)
m, s = os.openpty(); at(m, 20); at(s, 21)
def echoed(n): # comes in pieces
    while struct.unpack('i', fcntl.ioctl(20, termios.FIONREAD, b'    '))[0] < n: pass
os.write(20, b'begun'); echoed(5); os.write(21, b'said')
send(11, b'both', 20, 21)
m, s = os.openpty(); at(m, 20); at(s, 21); os.dup2(20, 22); send(11, b'master', 20, 21)
m, s = os.openpty(); at(m, 23); at(s, 20); send(11, b'slave', 20)
m, s = os.openpty(); at(s, 20); os.close(m); send(11, b'hung up', 20)
m, s = os.openpty(); at(m, 20); at(s, 21); fcntl.ioctl(20, termios.TIOCSWINSZ, struct.pack('HHHH', 1, 2, 3, 4))
fcntl.ioctl(21, termios.TIOCSCTTY, 0); at(os.open('/dev/tty', os.O_RDWR), 24)
send(11, b'session', 20, 21, 24)
`,
    Flag.PTS_NEW,
  );
  t.like(carried(before, socketAt(before, 10)), [
    ['both', { kind: 'pty-master' }, { kind: 'pty-slave' }],
    ['master', { kind: 'pty-master' }, { kind: 'pty-slave' }],
    ['slave', { kind: 'pty-slave' }],
    ['hung up', { kind: 'pty-slave', master: null }],
    ['session', { kind: 'pty-master', controls: true }, { path: null }, { path: '/dev/tty' }],
  ]);
  const [[, master, slave]] = carried(before, socketAt(before, 10)) as [[string, OpenFile, OpenFile]];
  if (master.kind !== 'pty-master' || slave.kind !== 'pty-slave') return t.fail();
  t.deepEqual(
    [master.typed, master.output].map((bytes) => Buffer.from(bytes).toString()),
    ['begun', 'begunsaid'],
  );
  t.is(before.table.files[slave.master!], master);
});

test('the process is left as it was, and so are we', async (t) => {
  const target = await startTarget(
    t,
    `${SOCKETS}
pair(10, 11); pair(12, 13, socket.SOCK_DGRAM)
for to in (11, 13):
    os.write(to, b'plain'); send(to, b'with', at(os.eventfd(3), 20)); os.write(to, b'rest')
os.kill(os.getpid(), signal.SIGSTOP)
for fd in (10, 12):
    s = socket.socket(fileno=fd)
    assert s.getsockopt(socket.SOL_SOCKET, 42) == -1
    got = [socket.recv_fds(s, 100, 4)[:2] for _ in range(2 if fd == 10 else 3)]
    assert b''.join(data for data, _ in got) == b'plainwithrest', got
    [event] = [fd for _, fds in got for fd in fds]
    assert os.eventfd_read(event) == 3
`,
  );
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  const first = capture(target);
  t.is(open(), before);
  t.deepEqual(capture(target), first);
  t.is(open(), before);
  process.kill(target.pid, 'SIGCONT');
  // The program stops itself again only where all is as it should be.
  await untilStopped(target.pid);
  t.like(socketAt(capture(target), 11), { content: [], passed: [] });
});

test('datagrams that wait in a socket on its way', async (t) => {
  const { before } = await same(
    t,
    `
pair(10, 11)
u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0)); u.sendto(b'to itself', u.getsockname())
send(11, b'udp', at(u.detach(), 20))
`,
  );
  const [[, udp]] = carried(before, socketAt(before, 10)) as [[string, OpenFileOf<'inet'>]];
  t.deepEqual(
    udp.datagrams.map(({ content }) => Buffer.from(content).toString()),
    ['to itself'],
  );
});
