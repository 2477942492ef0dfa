import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { NO_CHOICES } from '../../../src/proc/descriptors/choices.js';
import { surveyDescriptors } from '../../../src/proc/descriptors/index.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { refusal, restore, withContent } from './support.js';

/** Captures what the code makes, ends it, makes it again, and captures that. */
async function roundTrip(t: ExecutionContext, code: string) {
  const target = await startTarget(t, code);
  const before = capture(target);
  t.deepEqual(before.problems, []);
  const ended = once(target.child, 'exit');
  target.child.kill('SIGKILL');
  await ended;
  const child = await restore(t, withContent(before.table, before.objects));
  const after = capture({ pid: child.pid! });
  t.deepEqual(after.problems, []);
  return { before, after };
}

const S = 'socket.SOL_SOCKET';

test('TCP sockets without a connection come back with address, backlog and options', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(socket.socket().detach(), 10)
b = socket.socket(); b.bind(("127.0.0.1", 0)); b.setblocking(False); at(b.detach(), 11)
l = socket.socket(); l.setsockopt(${S}, socket.SO_REUSEPORT, 1); l.bind(("127.0.0.1", 0)); l.listen(77)
l.setsockopt(6, socket.TCP_DEFER_ACCEPT, 7); l.setsockopt(6, socket.TCP_FASTOPEN, 5); l.setsockopt(6, socket.TCP_MAXSEG, 600)
l.setsockopt(6, 13, b"reno"); l.setsockopt(6, socket.TCP_NODELAY, 1); l.setsockopt(6, socket.TCP_KEEPIDLE, 77)
m = socket.socket(); m.setsockopt(${S}, socket.SO_REUSEPORT, 1); m.bind(l.getsockname()); m.listen(5)
at(l.detach(), 12); at(m.detach(), 13)
six = socket.socket(socket.AF_INET6); six.setsockopt(41, socket.IPV6_V6ONLY, 1); six.bind(("::1", 0)); six.listen(1); at(six.detach(), 14)
both = socket.socket(socket.AF_INET6); both.setsockopt(41, socket.IPV6_V6ONLY, 0); both.bind(("::", 0)); both.listen(4096); at(both.detach(), 15)
o = socket.socket()
o.setsockopt(0, socket.IP_TOS, 0x10); o.setsockopt(${S}, socket.SO_PRIORITY, 0); o.setsockopt(0, socket.IP_TTL, 33)
o.setsockopt(${S}, socket.SO_LINGER, struct.pack("ii", 1, 9)); o.setsockopt(${S}, socket.SO_RCVTIMEO, struct.pack("qq", 2, 500000))
o.setsockopt(${S}, socket.SO_RCVBUF, 40000); o.setsockopt(${S}, socket.SO_KEEPALIVE, 1); o.setsockopt(${S}, socket.SO_RCVLOWAT, 9)
o.setsockopt(${S}, socket.SO_BINDTODEVICE, b"lo")
first = socket.socket(); first.setsockopt(${S}, socket.SO_REUSEADDR, 1); first.bind(("127.0.0.1", 0))
second = socket.socket(); second.setsockopt(${S}, socket.SO_REUSEADDR, 1); second.bind(first.getsockname())
first.listen(3); at(first.detach(), 18); at(second.detach(), 19)
short = socket.socket(); short.setsockopt(0, socket.IP_OPTIONS, b"\\1" * 4); at(short.detach(), 20)
os.dup2(o.fileno(), 17); at(o.detach(), 16)
`,
  );
  t.deepEqual(after.table, before.table);
  const listening = fileOf(before, 12);
  t.like(listening, { kind: 'inet', backlog: 77, ended: null });
  t.true(listening.kind === 'inet' && listening.options.length >= 7);
  t.is(after.warnings.length, 1);
  t.regex(after.warnings[0]!, /^descriptor 13 .* shares 127\.0\.0\.1:\d+ with another \(SO_REUSEPORT\)/);
});

test('TCP sockets that had a connection are not bound to the port that they have given back', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
def nothing(s): libc.connect(s.fileno(), ctypes.create_string_buffer(16), 16)
def refused(family, host):
    s = socket.socket(family)
    try: s.connect((host, 1))
    except ConnectionRefusedError: pass
    return s
a = socket.socket(); a.connect(l.getsockname()); nothing(a); at(a.detach(), 20)
at(refused(socket.AF_INET, "127.0.0.1").detach(), 21)
at(refused(socket.AF_INET6, "::ffff:127.0.0.1").detach(), 22)
b = socket.socket(); b.bind(("127.0.0.1", 0)); b.connect(l.getsockname()); nothing(b); b.setsockopt(6, socket.TCP_MAXSEG, 700); at(b.detach(), 23)
c = socket.socket(); c.bind(("127.0.0.1", 0)); c.listen(); c.shutdown(2); at(c.detach(), 24)
d = socket.socket(); d.setsockopt(0, 24, 1); d.bind(("127.0.0.1", 0)); at(d.detach(), 25)
l.close()
`,
  );
  t.deepEqual(after.table, before.table);
  const numbers = [20, 21, 22, 23, 24, 25];
  const ports = numbers.map((fd) => {
    const file = fileOf(before, fd);
    return (
      file.kind === 'inet' && file.ended === null && file.local && Buffer.from(file.local).readUInt16BE(2)
    );
  });
  t.deepEqual(ports, [null, null, null, 0, 0, 0]);
  const segments = numbers.map((fd) => {
    const file = fileOf(before, fd);
    return (
      file.kind === 'inet' && file.options.filter(({ level, option }) => level === 6 && option === 2).length
    );
  });
  t.deepEqual(segments, [0, 0, 0, 1, 0, 0]);
  t.deepEqual(before.warnings, []);
});

test('MPTCP sockets without a connection come back', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
def mptcp(family=socket.AF_INET): return socket.socket(family, socket.SOCK_STREAM, 262)
l = mptcp(); l.setsockopt(${S}, socket.SO_REUSEADDR, 1); l.setsockopt(6, socket.TCP_NODELAY, 1); l.setsockopt(0, 15, 1); l.bind(("127.0.0.1", 0)); l.listen(77); at(l.detach(), 10)
six = mptcp(socket.AF_INET6); six.bind(("::", 0)); six.listen(5); at(six.detach(), 11)
b = mptcp(); b.bind(("127.0.0.1", 0)); at(b.detach(), 12)
at(mptcp().detach(), 13)
`,
  );
  t.deepEqual(after.table, before.table);
  const listening = fileOf(before, 10);
  t.like(listening, { kind: 'inet', protocol: 'mptcp', backlog: 77, ended: null });
  t.true(listening.kind === 'inet' && listening.options.length >= 2);
  t.deepEqual(before.warnings, []);
});

test('UDP sockets come back bound and connected', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
def udp(family=socket.AF_INET, proto=0): return socket.socket(family, socket.SOCK_DGRAM, proto)
at(udp().detach(), 10)
a = udp(); a.setsockopt(${S}, socket.SO_BROADCAST, 1); a.setsockopt(0, 8, 1); a.bind(("127.0.0.1", 0))
c = udp(); c.connect(a.getsockname()); c.send(b"unread"); at(c.detach(), 12)
at(a.detach(), 11)
f = udp(); filter = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 100) * 2)
f.setsockopt(${S}, 26, struct.pack("HxxxxxxP", 2, ctypes.addressof(filter))); f.setsockopt(${S}, 44, 1); at(f.detach(), 15)
for how in range(3):
    d = udp(); d.connect(("127.0.0.1", 9)); d.shutdown(how); at(d.detach(), 16 + how)
s = udp(socket.AF_INET6); s.bind(("::1", 0)); s.setsockopt(41, socket.IPV6_UNICAST_HOPS, 7); s.setsockopt(41, socket.IPV6_RECVPKTINFO, 1); at(s.detach(), 13)
m = udp(socket.AF_INET6); m.connect(("::ffff:127.0.0.1", 9)); at(m.detach(), 14)
`,
  );
  t.deepEqual(after.table, before.table);
  const files = [15, 16, 17, 18].map((fd) => fileOf(before, fd));
  t.deepEqual(
    files.map((file) => file.kind === 'inet' && [file.filter?.length ?? 0, file.shutdown]),
    [
      [16, 0],
      [0, 1],
      [0, 2],
      [0, 3],
    ],
  );
  t.deepEqual(before.warnings, []);
});

test('TCP connections are found closed, with what was still to be read', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
def pair(family=socket.AF_INET):
    c = socket.socket(family); c.connect(l.getsockname() if family == socket.AF_INET else ("::ffff:127.0.0.1", l.getsockname()[1]))
    return c, l.accept()[0]
c, a = pair(); a.sendall(b"not read"); a.setsockopt(6, socket.TCP_NODELAY, 1); at(c.detach(), 10); at(a.detach(), 11)
c, a = pair(); a.sendall(b"half"); a.shutdown(1); a.setblocking(False); at(c.detach(), 12); at(a.detach(), 13)
c, a = pair(); a.setsockopt(${S}, socket.SO_LINGER, struct.pack("ii", 1, 0)); a.close(); at(c.detach(), 14)
c, a = pair(socket.AF_INET6); a.sendall(b"x" * 60000); at(c.detach(), 15); a.close()
def refused():
    n = socket.socket(); n.setblocking(False); n.connect_ex(("127.0.0.1", 1))
    p = select.poll(); p.register(n); p.poll()
    return n
at(refused().detach(), 16)
n = refused(); n.getsockopt(${S}, socket.SO_ERROR); at(n.detach(), 17)
for size, number in ((3, 18), (300000, 19)):
    c, a = pair(); c.setsockopt(${S}, socket.SO_RCVBUF, 1 << 21); a.sendall(b"x" * size); c.recv(size, socket.MSG_PEEK | socket.MSG_WAITALL)
    a.setsockopt(${S}, socket.SO_LINGER, struct.pack("ii", 1, 0)); a.close(); at(c.detach(), number)
l.close()
`,
  );
  const endings = (of: typeof before) =>
    of.table.descriptors.map(({ fd }) => {
      const file = fileOf(of, fd);
      return file.kind === 'inet' ? [fd, file.ended, file.input.length, file.flags] : [fd];
    });
  t.deepEqual(endings(after), endings(before));
  t.deepEqual(
    endings(before)
      .filter(([fd]) => Number(fd) > 2)
      .map((row) => row.slice(0, 3)),
    [
      [10, 'closed', 8],
      [11, 'closed', 0],
      [12, 'closed', 4],
      [13, 'closed', 0],
      [14, 'reset', 0],
      [15, 'closed', 60000],
      [16, 'refused', 0],
      [17, 'failed', 0],
      [18, 'reset', 3],
      [19, 'reset', 300000],
    ],
  );
  t.deepEqual(
    before.warnings.map((line) => /^descriptor (\d+) .* is not carried/.exec(line)?.[1]),
    ['10', '11', '12', '13', '15'],
  );
});

function listening(server: Server, ...place: [number, string]): Promise<unknown> {
  server.listen(...place);
  return once(server, 'listening');
}

test('a port that is taken, and an address of another host', async (t) => {
  const target = await startTarget(
    t,
    'l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(); at(l.detach(), 10)',
  );
  const before = capture(target);
  target.child.kill('SIGKILL');
  await once(target.child, 'exit');
  const file = fileOf(before, 10);
  if (file.kind !== 'inet') throw new Error('no socket');
  const port = Buffer.from(file.local!).readUInt16BE(2);
  const server = createServer();
  await listening(server, port, '127.0.0.1');
  const planned = withContent(before.table, before.objects);
  const taken = `cannot bind 127.0.0.1:${port} (descriptor 10, TCP socket): Address already in use\n`;
  t.is(await refusal(t, planned), taken);
  t.is(await refusal(t, planned, 2), taken);
  server.close();
  file.local = Uint8Array.from(file.local!);
  file.local.set([192, 0, 2, 1], 4);
  const elsewhere = `cannot bind 192.0.2.1:${port} (descriptor 10, TCP socket): Cannot assign requested address\n`;
  t.is(await refusal(t, planned), elsewhere);
});

test('an interface that is not here is found beforehand', async (t) => {
  const target = await startTarget(t, 'at(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach(), 10)');
  const { table, objects } = capture(target);
  const file = fileOf({ table }, 10);
  if (file.kind !== 'inet') throw new Error('no socket');
  file.options.push({ level: 1, option: 25, value: Buffer.from('nowhere0\0') });
  const planned = withContent(table, objects);
  for (const flags of [0, 2]) {
    t.is(
      await refusal(t, planned, flags),
      'cannot set SO_BINDTODEVICE (descriptor 10, UDP socket): No such device\n',
    );
  }
});

test('what is not carried is refused by name', async (t) => {
  const target = await startTarget(
    t,
    `
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
c = socket.create_connection(l.getsockname()); a = l.accept(); at(c.detach(), 10)
p = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); p.bind(("127.0.0.1", 0)); p.setsockopt(${S}, 42, 0)
p.sendto(b"x", p.getsockname()); at(p.detach(), 13)
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.setsockopt(${S}, 62, 54321); at(d.detach(), 16)
n = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); n.setsockopt(${S}, 37, 1 << 7); at(n.detach(), 17)
g = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16); g.bind((0, 0)); at(g.detach(), 14)
def mptcp(): return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
m = mptcp(); m.bind(("127.0.0.1", 0)); m.listen(); h = mptcp(); h.connect(m.getsockname()); at(h.detach(), 15)
`,
  );
  const { problems } = capture(target, { ...NO_CHOICES, drop: new Set([10, 14]) });
  const of = (fd: number) => problems.find((line) => line.startsWith(`descriptor ${fd} `)) ?? '';
  t.regex(of(13), /messages wait in it, and it peeks at an offset \(SO_PEEK_OFF\)/);
  t.regex(of(16), /it is bound to network interface 54321 \(SO_BINDTODEVICE\), which is gone/);
  t.regex(of(17), /it counts what it sends \(SOF_TIMESTAMPING_OPT_ID\)/);
  const others = capture(target).problems;
  t.is(others.length, 1);
  t.regex(
    others[0] ?? '',
    /^descriptor 14 \(netlink socket, socket:\[\d+\]\) cannot be carried: of netlink protocols only NETLINK_ROUTE/,
  );
  t.regex(of(15), /^descriptor 15 \(MPTCP socket, socket:\[\d+\]\) cannot be carried: it has a connection/);
});

test('--tcp keep is refused where another process has the connection, too', async (t) => {
  const target = await startTarget(
    t,
    `
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
c = socket.create_connection(l.getsockname()); a = l.accept()[0]; at(l.detach(), 10); at(c.detach(), 11)
r, w = os.pipe()
if os.fork() == 0:
    os.close(11); os.write(w, b"x"); signal.pause()
os.read(r, 1); os.close(r); os.close(w)
at(a.detach(), 12)
`,
  );
  const choices = { ...NO_CHOICES, tcp: 'keep' } as const;
  const { problems } = capture(target, choices);
  t.deepEqual(
    problems.map(
      (line) => /^descriptor (\d+) \(TCP socket, .*another process has .*--tcp keep/.exec(line)?.[1],
    ),
    ['12'],
  );
  const survey = surveyDescriptors(target.pid, choices).filter((line) => line.startsWith('descriptor'));
  t.deepEqual(survey, problems, 'a dry run says the same');
});

test('sockets of another network namespace are refused, of the process or of the socket alone', async (t) => {
  const apart = `
own = os.open("/proc/self/ns/net", os.O_RDONLY)
root = os.geteuid() == 0
if libc.unshare(0x40000000 if root else 0x50000000) != 0: raise OSError(ctypes.get_errno(), "unshare")
at(socket.socket().detach(), 10)
`;
  const refused = /^descriptor 10 \(TCP socket, .*another network namespace.*--drop-fd 10/;
  const whole = await startTarget(t, `${apart}os.close(own)`);
  t.regex(capture(whole).problems.join('\n'), refused);
  const back = 'if root and libc.setns(own, 0) != 0: raise OSError(ctypes.get_errno(), "setns")';
  const single = await startTarget(t, `${apart}${back}\nos.close(own)`);
  t.regex(capture(single).problems.join('\n'), refused);
});
