/** Datagrams that are being put together (UDP_CORK, MSG_MORE). */
import { spawnSync } from 'node:child_process';
import test from 'ava';
import type { CapturedDescriptors } from '../../../src/proc/descriptors/index.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { ownNetwork } from './network.js';
import { refusal, roundTrip, withContent } from './support.js';

const HEAD = `
MORE, CORK = socket.MSG_MORE, (17, 1, 1)
def udp(family=socket.AF_INET, protocol=0): return socket.socket(family, socket.SOCK_DGRAM, protocol)
def bound(host="127.0.0.1", port=0, protocol=0):
    s = udp(socket.AF_INET6 if ":" in host else socket.AF_INET, protocol); s.bind((host, port))
    return s
`;

/** Text, and to whom it goes. */
function corkedOf(captured: CapturedDescriptors, fd: number): [string, string | undefined] | null {
  const file = fileOf(captured, fd);
  if (file.kind !== 'inet') throw new Error(`descriptor ${fd} is no socket`);
  if (!file.corked) return null;
  const { to, content } = file.corked;
  return [Buffer.from(content).toString('latin1'), to ? Buffer.from(to).toString('hex', 2) : undefined];
}

test('what is put together comes back with all pieces, and goes where it went', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
a, b, c, d, e, f, g, h = bound(), bound("::1"), udp(socket.AF_INET6), udp(), bound("0.0.0.0", 0, 136), bound("::1"), bound(), udp()
a.setsockopt(*CORK); a.sendto(b"one, ", ("127.0.0.1", 9)); a.sendto(b"two, ", ("127.0.0.2", 10)); a.sendto(b"x" * 60000, ("127.0.0.1", 9))
b.connect(("::1", 9)); b.send(b"to the ", MORE); b.send(b"peer", MORE)
c.sendto(b"mapped", MORE, ("::ffff:127.0.0.1", 9))
d.sendto(b"", MORE, ("127.0.0.1", 0x1234))
e.setsockopt(136, 10, 12); e.sendto(b"li", MORE, ("127.0.0.1", 9)); e.sendto(b"te", MORE, ("127.0.0.1", 9))
f.connect(("::1", 9)); f.sendto(b"to another", MORE, ("::1", 10)); f.shutdown(1)
g.setsockopt(*CORK)
for option in (*[(0, o, v) for o, v in ((1, 0x48), (2, 7))], (1, 12, 5), (1, 36, 77), (17, 103, 3)): h.setsockopt(*option)
h.connect(("127.0.0.1", 9)); h.send(b"seg", MORE); h.send(b"ments", MORE)
for n, s in enumerate((a, b, c, d, e, f, g, h)): at(s.detach(), 20 + n)
`,
  );
  t.deepEqual([before.problems, before.warnings], [[], []]);
  t.deepEqual(after.table, before.table);
  const six = (port: string, host: string) => `${port}00000000${host.padStart(32, '0')}00000000`;
  t.deepEqual(
    [20, 21, 22, 23, 24, 25, 26, 27].map((fd) => corkedOf(before, fd)),
    [
      [`one, two, ${'x'.repeat(60000)}`, `00097f000001${'00'.repeat(8)}`],
      ['to the peer', undefined],
      ['mapped', six('0009', 'ffff7f000001')],
      ['', `12347f000001${'00'.repeat(8)}`],
      ['lite', `00097f000001${'00'.repeat(8)}`],
      ['to another', six('000a', '1')],
      null,
      ['segments', undefined],
    ],
  );
});

test.serial('in fragments, to many, and by a certain interface', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
libc.system(b"ip link add two type veth peer name other; ip link set other up; ip address add 192.0.2.1/24 dev two; ip address add 192.0.2.2/24 dev two; ip link set two mtu 1300 up; ip address add fe80::1/64 dev two nodad; ip route add 239.0.0.0/8 dev two")
a, b, c, d = bound("192.0.2.2"), udp(), udp(socket.AF_INET6), udp(); c.bind(("fe80::1", 0, 0, socket.if_nametoindex("two")))
pieces = [bytes([i]) * (37 * i) for i in range(1, 40)]
for piece in pieces: a.sendto(piece, MORE, ("192.0.2.9", 9))
b.setsockopt(0, 32, socket.inet_aton("192.0.2.1")); b.setsockopt(0, 33, 3); b.sendto(b"to many", MORE, ("239.1.2.3", 9))
c.connect(("fe80::2", 9, 0, socket.if_nametoindex("two"))); c.send(b"x" * 2000, MORE); c.send(b"nearby", MORE)
d.setsockopt(1, 25, b"two"); d.setsockopt(1, 6, 1); d.sendto(b"to all", MORE, ("192.0.2.255", 9))
for n, s in enumerate((a, b, c, d)): at(s.detach(), 10 + n)
`,
  );
  t.deepEqual([before.problems, before.warnings], [[], []]);
  t.deepEqual(after.table, before.table);
  const pieces = Array.from({ length: 39 }, (_, i) => String.fromCharCode(i + 1).repeat(37 * (i + 1)));
  t.is(corkedOf(before, 10)![0], pieces.join(''));
  t.is(corkedOf(before, 12)![0], `${'x'.repeat(2000)}nearby`);
});

test('what would not be the same is refused by name', async (t) => {
  const target = await startTarget(
    t,
    `${HEAD}
ANY = ("127.0.0.1", 9)
all = [udp() for _ in range(9)]
all[0].sendmsg([b"x"], [(0, 2, struct.pack("i", 9))], MORE, ANY)
all[1].sendto(b"x", MORE, ANY); all[1].setsockopt(0, 1, 0x48)
all[2].sendmsg([b"x"], [(17, 103, struct.pack("H", 3))], MORE, ANY)
all[3].sendmsg([b"x"], [(0, 8, struct.pack("i4s4s", 0, socket.inet_aton("127.0.0.7"), b""))], MORE, ANY)
all[4].connect(ANY); all[4].send(b"x", MORE); libc.connect(all[4].fileno(), b"\\0" * 16, 16); all[4].bind(("127.0.0.1", 0))
all[5].setsockopt(0, 4, b"\\x07\\x07\\x04\\0\\0\\0\\0\\0"); all[5].sendto(b"x", MORE, ANY)
all[6] = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253); all[6].sendto(b"x", MORE, ANY)
all[7].sendto(b"x", MORE, ANY)
file = os.memfd_create("x"); os.write(file, b"y" * 100); all[8].setsockopt(*CORK); all[8].connect(ANY); os.sendfile(all[8].fileno(), file, 0, 100)
if os.fork() == 0:
    for i in (*range(7), 8): all[i].close()
    signal.pause()
for n, s in enumerate(all): at(s.detach(), 20 + n)
`,
  );
  const { problems } = capture(target);
  const alone = (what: string) =>
    `of the datagram that it is putting together (UDP_CORK, MSG_MORE) ${what} was chosen for this one alone, or would be another now`;
  const unsent = (why: string) =>
    `it holds data that is not sent yet (UDP_CORK, MSG_MORE, or a busy interface): ${why}`;
  t.deepEqual(
    problems.map((line) => /cannot be carried: (.*); use --drop-fd/.exec(line)?.[1]),
    [
      alone('its time to live (IP_TTL)'),
      alone('its type of service (IP_TOS)'),
      alone('the size of its segments (UDP_SEGMENT)'),
      alone('the address that it comes from'),
      unsent('it was begun when the socket had another port'),
      unsent('it has IP options'),
      'it holds a packet that is not sent yet (MSG_MORE), which is carried of UDP only',
      'another process has the socket, too',
      unsent('it refers to memory of a file or of the program (splice, MSG_ZEROCOPY)'),
    ],
  );
});

test.serial('a thaw that cannot begin it says so', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `${HEAD}
libc.system(b"ip address add 198.51.100.1/24 dev lo")
a = udp(); a.sendto(b"x", MORE, ("198.51.100.9", 9)); at(a.detach(), 10)
`,
  );
  const before = capture(target);
  t.deepEqual([before.warnings, before.problems], [[], []]);
  target.child.kill('SIGKILL');
  spawnSync('ip', ['address', 'del', '198.51.100.1/24', 'dev', 'lo']);
  const planned = withContent(before.table, before.objects);
  const line =
    'cannot begin a datagram to 198.51.100.9:9 (descriptor 10, UDP socket): Network is unreachable\n';
  t.is(await refusal(t, planned), line);
});
