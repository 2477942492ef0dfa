/** Datagrams that wait in UDP sockets. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import test from 'ava';
import type { CapturedDescriptors } from '../../../src/proc/descriptors/index.js';
import { Flag } from '../../../src/thaw/program.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { ownNetwork } from './network.js';
import { refusal, restore, roundTrip, withContent } from './support.js';

const HEAD = `
def udp(family=socket.AF_INET, protocol=0): return socket.socket(family, socket.SOCK_DGRAM, protocol)
def bound(host="127.0.0.1", port=0, protocol=0):
    s = udp(socket.AF_INET6 if ":" in host else socket.AF_INET, protocol); s.bind((host, port))
    return s
def forge(source, port, to, content, host="127.0.0.1", ttl=64, tos=0):
    six = ":" in source
    s = udp(socket.AF_INET6 if six else socket.AF_INET)
    for option, value in ((75, 1), (16, ttl), (67, tos)) if six else ((19, 1), (2, ttl), (1, tos)):
        s.setsockopt(41 if six else 0, option, value)
    s.bind((source, port)); s.sendto(content, (host, to.getsockname()[1])); s.close()
def packet(source, port, to, content):
    six = ":" in source
    pack = lambda a: socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, a)
    data = struct.pack(">HHHH", port, to.getsockname()[1], 8 + len(content), 0) + content
    head = struct.pack(">IHBB", 6 << 28, len(data), 17, 64) if six else struct.pack(">BBHIBBH", 0x45, 0, 20 + len(data), 0, 64, 17, 0)
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 255)
    s.sendto(head + pack(source) + pack("::1" if six else "127.0.0.1") + data, ("::1" if six else "127.0.0.1", 0)); s.close()
`;

function datagramsOf(captured: CapturedDescriptors, fd: number) {
  const file = fileOf(captured, fd);
  if (file.kind !== 'inet') throw new Error(`descriptor ${fd} is no socket`);
  return file.datagrams;
}

test('datagrams come back with content, length, order and sender', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
a, b, c = bound(), bound(), bound("::")
here = a.getsockname()
b.sendto(b"first", here); b.sendto(b"", here); c.sendto(b"x" * 60000, ("::ffff:127.0.0.1", here[1])); b.sendto(b"", here); b.sendto(b"last", here)
a.sendto(b"mapped", ("127.0.0.1", c.getsockname()[1])); c.sendto(b"six", ("::1", c.getsockname()[1])); b.sendto(b"", ("127.0.0.1", c.getsockname()[1]))
d = bound(); a.sendto(b"before", d.getsockname()); d.connect(b.getsockname()); b.sendto(b"after", d.getsockname())
f = bound(); b.sendto(b"not let in since", f.getsockname())
filter = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
f.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", 1, ctypes.addressof(filter))); f.setsockopt(socket.SOL_SOCKET, 44, 1)
f.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1); f.connect(a.getsockname()); f.shutdown(0)
l = bound("127.0.0.1", 0, 136); bound("127.0.0.1", 0, 136).sendto(b"lite", l.getsockname())
u = udp(); u.connect(b.getsockname()); b.sendto(b"u", u.getsockname()); libc.connect(u.fileno(), b"\\0" * 16, 16)
for n, s in enumerate((a, b, c, d, f, l, u)): at(s.detach(), 10 + n)
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(before.warnings, []);
  t.deepEqual(after.warnings, []);
  t.deepEqual(
    [10, 11, 12, 13, 14, 15, 16].map((fd) => datagramsOf(before, fd).map(({ content }) => content.length)),
    [[5, 0, 60000, 0, 4], [], [6, 3, 0], [6, 5], [16], [4], [1]],
  );
  t.is(Buffer.from(datagramsOf(before, 10)[4]!.content).toString(), 'last');
});

test.serial('datagrams of other hosts, and what the program is told of them', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
libc.system(b"ip address add 192.0.2.1/24 dev lo; ip address add 192.0.2.2/24 dev lo; ip address add 2001:db8::1/128 dev lo nodad")
a, b, c = bound("0.0.0.0", 53), bound("::"), bound("192.0.2.2", 7)
forge("198.51.100.9", 4711, a, b"from afar"); forge("198.51.100.9", 54, a, b""); forge("198.51.100.10", 4711, a, b"another")
forge("2001:db8::99", 53, b, b"six", "::1"); forge("198.51.100.9", 55, b, b"four in six"); forge("2001:db8::99", 54, b, b"x" * 65500, "::1")
forge("198.51.100.9", 1, c, b"unmarked", "192.0.2.2")
for s in (a, c): [s.setsockopt(0, option, 1) for option in (8, 12, 13)]
for option in (49, 51, 66): b.setsockopt(41, option, 1)
b.setsockopt(0, 12, 1)
forge("198.51.100.9", 2, c, b"marked", "192.0.2.2", 3, 0x48); forge("198.51.100.9", 2, c, b"alike", "192.0.2.2", 3, 0x48)
forge("198.51.100.9", 2, a, b"one", "192.0.2.1"); forge("198.51.100.9", 2, a, b"two", "192.0.2.2"); forge("198.51.100.9", 2, a, b"three", "127.0.0.3", 255)
forge("2001:db8::99", 5, b, b"told", "2001:db8::1", 9, 0x20); forge("198.51.100.9", 5, b, b"mapped", "192.0.2.1", 8)
for n, s in enumerate((a, b, c)): at(s.detach(), 10 + n)
`,
  );
  t.deepEqual(before.warnings, []);
  t.deepEqual(after.table, before.table);
  t.deepEqual(
    datagramsOf(before, 12).map(({ content, marked, hops, service, destination }) => [
      Buffer.from(content).toString(),
      marked,
      hops,
      service,
      destination?.join('.'),
    ]),
    [
      ['unmarked', false, 64, 0, '192.0.2.2'],
      ['marked', true, 3, 0x48, '192.0.2.2'],
      ['alike', true, 3, 0x48, '192.0.2.2'],
    ],
  );
  t.deepEqual(
    datagramsOf(before, 10)
      .slice(3)
      .map(({ destination }) => destination?.join('.')),
    ['192.0.2.1', '192.0.2.2', '127.0.0.3'],
  );
  t.is(datagramsOf(before, 11)[2]!.content.length, 65500);
});

test.serial(
  'a sender whose address is taken, or no address for a socket, is named by a packet of our own',
  async (t) => {
    if (!ownNetwork(t)) return;
    // What a new socket takes is up to the machine.
    writeFileSync('/proc/sys/net/ipv6/bindv6only', '1');
    t.teardown(() => writeFileSync('/proc/sys/net/ipv6/bindv6only', '0'));
    await startTarget(t, `${HEAD}x, y = bound("127.0.0.1", 4711), bound("::1", 4711)`);
    const { before, after } = await roundTrip(
      t,
      `${HEAD}
a, b = bound(), udp(socket.AF_INET6)
b.setsockopt(41, 26, 0); b.bind(("::", 0)); b.setsockopt(17, 102, 1)
packet("127.0.0.1", 4711, a, b"taken"); packet("127.0.0.1", 0, a, b""); packet("127.0.0.1", 4711, a, b"y" * 101)
packet("::1", 4711, b, b"six"); packet("::1", 0, b, b"x" * 51); packet("127.0.0.1", 4711, b, b"mapped")
b.setsockopt(17, 102, 0)
for n, s in enumerate((a, b)): at(s.detach(), 10 + n)
`,
    );
    t.deepEqual(after.table, before.table);
    t.deepEqual(before.warnings, []);
    t.deepEqual(
      [10, 11].map((fd) => datagramsOf(before, fd).map(({ content }) => content.length)),
      [
        [5, 0, 101],
        [3, 51, 6],
      ],
    );
  },
);

/** As an ordinary user: others' addresses are not to be had. */
const WITHOUT = ['setpriv', '--bounding-set=-net_raw,-net_admin', '--inh-caps=-net_raw,-net_admin'];

test.serial('what cannot be put back is refused, and left out if the user says so', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `${HEAD}
libc.system(b"ip address add 192.0.2.7/24 dev lo")
a, b = bound(), bound("192.0.2.7")
forge("198.51.100.9", 4711, a, b"from afar")
b.setsockopt(0, 8, 1); forge("127.0.0.1", 4712, b, b"to us", "192.0.2.7"); b.connect(("127.0.0.1", 4712))
for n, s in enumerate((a, b)): at(s.detach(), 10 + n)
`,
  );
  const before = capture(target);
  t.deepEqual([before.warnings, before.problems], [[], []]);
  target.child.kill('SIGKILL');
  const planned = withContent(before.table, before.objects);
  const forbidden =
    'cannot put back a datagram from 198.51.100.9:4711, which --datagrams=drop leaves out (descriptor 10, UDP socket), as it takes CAP_NET_RAW: Operation not permitted\n';
  t.is(await refusal(t, planned, 0, WITHOUT), forbidden);
  t.is(await refusal(t, planned, Flag.CHECK, WITHOUT), forbidden);
  const [file, other] = [fileOf(before, 10), fileOf(before, 11)];
  if (file.kind !== 'inet' || other.kind !== 'inet') throw new Error('no socket');
  const [datagram] = other.datagrams;
  for (const host of [
    [198, 51, 100, 9],
    [192, 0, 2, 255],
    [239, 1, 2, 3],
  ]) {
    other.datagrams = [{ ...datagram!, destination: Uint8Array.from(host) }];
    const elsewhere = `cannot put back a datagram from 127.0.0.1:4712, which --datagrams=drop leaves out (descriptor 11, UDP socket): ${host.join('.')} is no address of this host\n`;
    t.is(await refusal(t, planned), elsewhere);
    t.is(await refusal(t, planned, Flag.CHECK), elsewhere);
  }
  // More than the socket has room for.
  other.datagrams = [];
  file.datagrams = Array.from({ length: 3 }, () => ({
    ...file.datagrams[0]!,
    content: new Uint8Array(60000),
  }));
  file.options = [{ level: 1, option: 8, value: Uint8Array.of(0, 16, 0, 0) }];
  const full = await restore(t, planned);
  t.is(datagramsOf(capture({ pid: full.pid! }), 10).length, 3, 'its size comes later');
  full.kill('SIGKILL');
  await once(full, 'exit');
  file.options = [];
  file.datagrams = Array.from({ length: 8 }, () => file.datagrams[0]!);
  t.regex(
    await refusal(t, planned),
    /^cannot put back datagrams \(descriptor 10, UDP socket\): what is sent does not arrive .*net\.core/,
  );
  const child = await restore(t, planned, undefined, Flag.DATAGRAMS_DROP);
  t.is(datagramsOf(capture({ pid: child.pid! }), 10).length, 0);
});

test('what is not carried is named, and nothing is taken from the process', async (t) => {
  const target = await startTarget(
    t,
    `${HEAD}
a, b, c, d, e, f = bound(), bound(), bound(), bound(), bound(), bound()
def fill(s): a.sendto(b"x", s.getsockname()); a.sendto(b"", s.getsockname())
for s in (b, c, d, e): fill(s)
b.recv(1); b.recv(1, socket.MSG_PEEK); fill(b)
c.setsockopt(0, 20, 1)
if os.fork() == 0:
    for s in (a, b, c, e, f): s.close()
    signal.pause()
fill(f); f.connect(("127.0.0.1", 9)); f.send(b"nobody is there")
p = select.poll(); p.register(f); p.poll()
for n, s in enumerate((a, b, c, d, e, f)): at(s.detach(), 10 + n)
`,
  );
  const [first, second] = [capture(target), capture(target)];
  t.deepEqual([first.problems, second.problems], [[], []]);
  const hidden =
    'may hold empty datagrams that were looked at before, which the kernel does not show: they are not carried';
  const lost = 'has datagrams that were not received yet: they are not carried, as';
  const all = [
    `descriptor 11 (UDP socket) ${hidden}`,
    `descriptor 12 (UDP socket) ${lost} the program is told of more than can be made again (message 20 of level 0)`,
    `descriptor 13 (UDP socket) ${lost} another process has the socket, too`,
    'descriptor 15 (UDP socket) has an error that was not received yet: it is not carried',
    `descriptor 15 (UDP socket) ${lost} a look at them would take the error`,
  ];
  t.deepEqual(first.warnings, all);
  // That look was one.
  t.deepEqual(second.warnings, all.toSpliced(3, 0, `descriptor 14 (UDP socket) ${hidden}`));
  const lengths = (of: typeof first) => datagramsOf(of, 14).map(({ content }) => content.length);
  t.deepEqual([lengths(first), lengths(second)], [[1, 0], [1]]);
});
