/** Sockets that peek at an offset (SO_PEEK_OFF), which moves on with each look: what waits in them, and where they are. */
import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

const HEAD = `
PEEK_OFF = 42
def offset(s, at): s.setsockopt(socket.SOL_SOCKET, PEEK_OFF, at)
`;

/** The offset in the image. */
function offsetOf(captured: Parameters<typeof fileOf>[0], fd: number): number | undefined {
  const file = fileOf(captured, fd);
  if (file.kind !== 'inet' && file.kind !== 'unix') throw new Error('no socket');
  const found = file.options.find((row) => row.option === 42 && (!('level' in row) || row.level === 1));
  return found && Buffer.from(found.value).readInt32LE(0);
}

test('the offset comes back, and streams show what waits in them from the beginning', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); offset(u, 7); at(u.detach(), 10)
a, b = socket.socketpair(); a.send(b"a stream"); offset(b, 0); assert b.recv(3, socket.MSG_PEEK) == b"a s"; at(a.detach(), 11); at(b.detach(), 12)
a, b = socket.socketpair(); socket.send_fds(a, [b"xy"], [10]); a.send(b"z"); offset(b, 1); at(a.detach(), 13); at(b.detach(), 14)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); offset(b, 5); at(a.detach(), 15); at(b.detach(), 16)
n = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); offset(n, 9); at(n.detach(), 18)
l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); a = l.accept()[0]; l.close()
a.sendall(b"over the network"); a.close(); p = select.poll(); p.register(c, 0x2000); p.poll()
try: offset(c, 0); assert c.recv(5, socket.MSG_PEEK) == b"over "
except OSError: pass  # before Linux 6.9
at(c.detach(), 17)
`,
  );
  // What was let go of is over by itself the second time.
  const files = before.table.files.map((file) =>
    Object.fromEntries(Object.entries(file).filter(([name]) => name !== 'letGo')),
  );
  t.deepEqual<unknown, unknown>(after.table.files, files);
  t.is(offsetOf(before, 10), 7);
  t.is(offsetOf(before, 12), 3);
  t.is(offsetOf(before, 14), 1);
  t.is(offsetOf(before, 16), 5);
  t.is(offsetOf(before, 18), 9);
  const content = (fd: number) => {
    const file = fileOf(before, fd);
    if (file.kind === 'unix') return Buffer.concat(file.content).toString();
    return file.kind === 'inet' ? Buffer.from(file.input).toString() : null;
  };
  t.is(content(12), 'a stream');
  t.is(content(14), 'xyz');
  t.is(content(17), 'over the network');
  t.true([undefined, 5].includes(offsetOf(before, 17)));
});

test('looking leaves the offset where it was', async (t) => {
  const target = await startTarget(
    t,
    `${HEAD}
a, b = socket.socketpair(); a.send(b"a stream"); offset(b, 2); at(a.detach(), 10); at(b.detach(), 11)
a, b = socket.socketpair(); socket.send_fds(a, [b"xy"], [10]); offset(b, 1); at(a.detach(), 12); at(b.detach(), 13)
`,
  );
  for (let i = 0; i < 3; i++) {
    const captured = capture(target);
    t.deepEqual(captured.problems, []);
    t.is(offsetOf(captured, 11), 2);
    t.is(offsetOf(captured, 13), 1);
  }
});

test('messages, and what another process reads as well, are refused', async (t) => {
  const target = await startTarget(
    t,
    `${HEAD}
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.send(b"x"); offset(b, 0); at(a.detach(), 10); at(b.detach(), 11)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); offset(u, 0); u.sendto(b"x", u.getsockname()); at(u.detach(), 12)
`,
  );
  const refused = (drop: number[]) => capture(target, parseChoices(drop, [])).problems;
  const why = /messages wait in it, and it peeks at an offset \(SO_PEEK_OFF\)/;
  t.regex(refused([12])[0]!, /^descriptor 11 /);
  t.regex(refused([12])[0]!, why);
  t.regex(refused([10, 11])[0]!, /^descriptor 12 /);
  t.regex(refused([10, 11])[0]!, why);
  const shared = await startTarget(
    t,
    `${HEAD}
l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); a = l.accept()[0]; l.close()
a.sendall(b"x"); a.close(); p = select.poll(); p.register(c, 0x2000); p.poll()
try: offset(c, 0)
except OSError: os.close(c.detach()); c = open("/dev/null")
r, w = os.pipe()
if os.fork() == 0:
    os.write(w, b"x"); signal.pause()
os.read(r, 1); os.close(r); os.close(w); at(c.detach(), 10)
`,
  );
  const { problems } = capture(shared);
  t.is(problems.length, 1);
  t.regex(problems[0]!, /^descriptor 10 \(TCP socket, .*another process has it, too, .*SO_PEEK_OFF/);
});
