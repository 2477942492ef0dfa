/** What is on its way in Unix domain sockets (SCM_RIGHTS), refused at the freeze or by the image, or with a warning. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { surveyDescriptors } from '../../../src/proc/descriptors/index.js';
import { Flag } from '../../../src/thaw/program.js';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { carried, SOCKETS, same, socketAt } from './rights.js';
import { refusal } from './support.js';

test('what is refused is named, with the socket that carries it', async (t) => {
  const target = await startTarget(
    t,
    `${SOCKETS}
pair(10, 11); pair(20, 21)
i = at(libc.inotify_init(), 30); libc.inotify_add_watch(i, b'.', 0xc0); open('new', 'w').close(); os.rename('new', 'old'); os.read(i, 32)
send(21, b'watch', i)
send(11, b'nested', 20, 21)
pair(12, 13); master, slave = os.openpty(); fcntl.fcntl(slave, fcntl.F_SETFL, os.O_ASYNC)
send(13, b'x', at(master, 30), at(slave, 31))
pair(14, 15); r, w = os.pipe(); at(r, 30); at(w, 31)
fcntl.fcntl(30, fcntl.F_SETOWN, os.getpid()); fcntl.fcntl(30, 10, 50); fcntl.fcntl(30, fcntl.F_SETFL, os.O_ASYNC)
send(15, b'numbered', 30)
pair(16, 17, socket.SOCK_DGRAM); s = socket.socket(fileno=os.dup(16)); s.bind(b'\\0rights %d' % os.getpid()); s.close()
send(17, b'named', at(os.eventfd(0), 30))
listener = socket.socket(socket.AF_UNIX); listener.bind(b'\\0listens %d' % os.getpid()); listener.listen()
client = socket.socket(socket.AF_UNIX); client.connect(b'\\0listens %d' % os.getpid())
at(client.detach(), 18); at(listener.detach(), 19)
send(18, b'not accepted', at(os.eventfd(0), 30))
pair(40, 41, socket.SOCK_SEQPACKET); s = socket.socket(fileno=os.dup(40)); s.setsockopt(socket.SOL_SOCKET, 42, 0); s.close()
send(41, b'offset', at(os.eventfd(0), 30))
at(os.eventfd(0), 30)
`,
  );
  const refused = (drop: number[]): [string, string][] =>
    capture(target, parseChoices(drop, [])).problems.map((problem) => {
      const [, name, why, fd] = /^(.*?) \(.* cannot be carried: (.*?); use --drop-fd (\d+), /.exec(problem)!;
      t.true(name!.endsWith(` ${fd}`), problem);
      return [name!, why!];
    });
  const known: [string, string][] = [
    [
      'what is on its way in descriptor 12',
      'it sends signals when there is input or output (O_ASYNC), and looking into it would send some',
    ],
    ['descriptor 18', 'its connection has not been accepted yet'],
    [
      'descriptor 19',
      'descriptors are on their way in it (SCM_RIGHTS), with connections that wait to be accepted',
    ],
    [
      'descriptor 40',
      'messages wait in it, and it peeks at an offset (SO_PEEK_OFF), so that a look could hide empty ones',
    ],
  ];
  const byName = (list: [string, string][]) => list.toSorted(([a], [b]) => (a < b ? -1 : 1));
  t.deepEqual(byName(refused([])), byName(known));
  t.deepEqual(refused([12, 13, 18, 19, 40, 41]), [
    [
      'descriptor 16',
      'descriptors are on their way in it (SCM_RIGHTS), and others could send to it as well, or nobody any more',
    ],
    [
      'what is on its way in descriptor 14',
      'its signals (F_SETSIG) bear number 30, by which they were asked for and which is not its own any more',
    ],
    [
      'what is on its way in descriptor 10',
      'an event in it was not read yet, one of the two of a rename (IN_MOVED_TO), that may belong to one that was',
    ],
  ]);
  // What the user lets go of takes along what it carries.
  t.deepEqual(refused([10, 12, 13, 14, 16, 17, 18, 19, 40, 41]), []);
  t.deepEqual(surveyDescriptors(target.pid, parseChoices([12, 13, 18, 19, 40, 41], [])), []);
});

test('an image that cannot make what is on its way names where it is', async (t) => {
  const { target, planned } = await same(
    t,
    `
pair(10, 11); pair(20, 21)
open('gone', 'w').close()
send(21, b'x', at(os.open('gone', os.O_RDONLY), 30)); send(11, b'x', 20, 21)
`,
  );
  rmSync(join(target.folder, 'gone'));
  const says = new RegExp(
    `^cannot reopen ${target.folder}/gone \\(file on its way in descriptor 10\\): No such file`,
  );
  t.regex(await refusal(t, planned), says);
  t.regex(await refusal(t, planned, Flag.CHECK), says);
});

test('what is said of others is said of what is on its way', async (t) => {
  const target = await startTarget(
    t,
    `${SOCKETS}
listener = socket.create_server(('127.0.0.1', 0)); client = socket.create_connection(listener.getsockname())
server, _ = listener.accept(); server.send(b'unread'); listener.close(); at(server.detach(), 20)
pair(10, 11); send(11, b'connection', at(client.detach(), 21))
`,
  );
  const captured = capture(target);
  t.deepEqual(captured.problems, []);
  t.like(carried(captured, socketAt(captured, 10)), [['connection', { kind: 'inet', ended: 'closed' }]]);
  const [, warning] = captured.warnings.toSorted();
  t.regex(warning!, /^what is on its way in descriptor 10 \(TCP, socket:\[\d+\]\): the connection from 127/);
});

test('what another process has, too, is refused', async (t) => {
  const target = await startTarget(
    t,
    `${SOCKETS}
pair(10, 11); at(os.eventfd(0), 20); at(os.eventfd(0), 21); at(os.memfd_create('m'), 22)
r, w = os.pipe()
if os.fork() == 0:
    os.closerange(10, 20); os.close(21); os.write(w, b'x'); signal.pause()
os.read(r, 1); os.close(r); os.close(w)
send(11, b'shared', 20, 22); send(11, b'not shared', 21)
`,
  );
  const says = (kind: string, more: string) =>
    new RegExp(
      `^what is on its way in descriptor 10 \\(${kind}.*: it is shared with process \\d+ .*; use ${more}--drop-fd 10`,
    );
  const { problems } = capture(target);
  t.is(problems.length, 2);
  t.regex(problems[0]!, says('deleted file', '--embed-shared, '));
  t.regex(problems[1]!, says('eventfd', ''));
  t.deepEqual(capture(target, parseChoices([10], [])).problems, []);
});

test('sockets of networks that another process has, too, are refused', async (t) => {
  const target = await startTarget(
    t,
    `${SOCKETS}
pair(10, 11)
l = socket.create_server(('127.0.0.1', 0)); u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0))
at(l.detach(), 20); at(u.detach(), 21); at(socket.socket(type=socket.SOCK_DGRAM).detach(), 22)
r, w = os.pipe()
if os.fork() == 0:
    os.closerange(10, 20); os.write(w, b'x'); signal.pause()
os.read(r, 1); os.close(r); os.close(w)
v = socket.socket(type=socket.SOCK_DGRAM); v.bind(('127.0.0.1', 0)); at(v.detach(), 23)
send(11, b'shared', 20, 21, 22); send(11, b'not shared', 23)
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 2, problems.join('\n'));
  const says = (kind: string) =>
    new RegExp(
      `^what is on its way in descriptor 10 \\(${kind} socket, .*: process \\d+ .* has it open, too, stays behind, and keeps the address 127.*; use --drop-fd 10`,
    );
  t.regex(problems[0]!, says('TCP'));
  t.regex(problems[1]!, says('UDP'));
  t.deepEqual(capture(target, parseChoices([10], [])).problems, []);
});

test('in a socket that is standard input', async (t) => {
  const target = await startTarget(t, `${SOCKETS}pair(0, 11); send(11, b'x', at(os.eventfd(0), 20))`);
  const { problems } = capture(target);
  t.is(problems.length, 1);
  t.regex(
    problems[0]!,
    /^descriptor 0 \(socket, .*: descriptors are on their way in it .* stream of the image; use/,
  );
  t.deepEqual(capture(target, parseChoices([0], [])).problems, []);
});
