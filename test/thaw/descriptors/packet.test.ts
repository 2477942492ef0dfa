/** Packet sockets, in a network namespace of their own. */
import test from 'ava';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { ownNetwork } from './network.js';
import { refusal, roundTrip } from './support.js';

const HEAD = `
def packet(type=socket.SOCK_RAW, protocol=0): return socket.socket(17, type, socket.htons(protocol))
def option(s, number, value): s.setsockopt(263, number, value)
def member(s, type, address=b""): option(s, 1, struct.pack("iHH32s", 1, type, len(address), address))
`;

test.serial('options, memberships, filters, protocols and interfaces', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
a = packet(socket.SOCK_RAW, 3); at(a.detach(), 10)
b = packet(socket.SOCK_DGRAM); b.bind(("lo", 0x800)); b.setblocking(False); at(b.detach(), 11)
c = packet()
for number, value in ((7, 1000), (8, 1), (9, 1), (10, 2), (12, 32), (14, 1), (15, 1), (17, 0x40), (19, 1), (20, 1), (23, 1)): option(c, number, value)
code = ctypes.create_string_buffer(struct.pack("<HBBI", 6, 0, 0, 64))
c.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", 1, ctypes.addressof(code)))
c.setsockopt(socket.SOL_SOCKET, 44, 1); c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50000)
member(c, 1); member(c, 1); member(c, 2); member(c, 0, b"\\1\\0\\x5e\\1\\2\\3"); member(c, 3, b"\\2\\0\\0\\0\\0\\1")
at(c.detach(), 12)
d = packet(); d.bind(("lo", 0)); at(d.detach(), 13)
e = packet(socket.SOCK_RAW, 0x88b5); os.dup2(e.fileno(), 15); at(e.detach(), 14)
at(packet(socket.SOCK_DGRAM).detach(), 16)
`,
  );
  t.deepEqual(before.warnings, []);
  t.deepEqual(after.table, before.table);
  t.like(fileOf(before, 10), { type: 'raw', protocol: 3, interface: null });
  t.like(fileOf(before, 11), { type: 'datagram', protocol: 0x800, interface: 'lo' });
  t.like(fileOf(before, 13), { protocol: 0, interface: 'lo', toldDown: false });
  const all = fileOf(before, 12);
  if (all.kind !== 'packet') throw new Error('no packet socket');
  t.deepEqual(
    all.options.filter(({ level }) => level === 263).map(({ option }) => option),
    [7, 8, 9, 10, 12, 14, 15, 17, 19, 20, 23, 24],
  );
  t.is(all.filter!.length, 8);
  t.deepEqual(
    all.memberships.map(({ interface: on, type, address, count }) => [on, type, address.length, count]),
    [
      ['lo', 1, 0, 2],
      ['lo', 2, 0, 1],
      ['lo', 0, 6, 1],
      ['lo', 3, 6, 1],
    ],
  );
});

test.serial('a fanout group, and packets that were not received', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
for fd in (10, 11):
    s = packet(socket.SOCK_RAW, 0x88b5); option(s, 18, 7 | (1 | 0x10 << 8) << 16); at(s.detach(), fd)
s = packet(socket.SOCK_RAW, 0x88b6); option(s, 18, 0); at(s.detach(), 12)
w = packet(socket.SOCK_RAW, 0x88b7); at(w.detach(), 13)
sender = packet(); sender.bind(("lo", 0)); sender.send(bytes(12) + b"\\x88\\xb7" + bytes(46)); sender.close()
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(
    [10, 11, 12, 13].map((fd) => {
      const file = fileOf(before, fd);
      return file.kind === 'packet' ? file.fanout : undefined;
    }),
    [0x1001_0007, 0x1001_0007, 0, null],
  );
  t.deepEqual(
    before.warnings.map((line) => line.replace(/socket:\[\d+\]/, 'socket')),
    [
      ...[10, 11].map(
        (fd) =>
          `descriptor ${fd} (packet socket, socket) is in fanout group 7: it joins that again, and which of the members gets which packets may differ`,
      ),
      'descriptor 12 (packet socket, socket) is in fanout group 0: it joins that again, and which of the members gets which packets may differ',
      'descriptor 13 (packet socket, socket) has packets that were not received yet: they are not carried',
    ],
  );
});

test.serial('an interface that is down, of which the program has been told, or has not', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
import subprocess
run = lambda line: subprocess.run(line.split(), check=True)
run("ip link add name off0 type veth peer name off1")
told = packet(); told.bind(("off0", 3))
assert told.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 100
untold = packet(); untold.bind(("off0", 3))
at(told.detach(), 10); at(untold.detach(), 11)
`,
  );
  t.deepEqual(after.table, before.table);
  t.like(fileOf(before, 10), { interface: 'off0', toldDown: true });
  t.like(fileOf(before, 11), { interface: 'off0', toldDown: false });
  t.is(after.warnings.length, 1);
  t.regex(
    before.warnings.join('\n'),
    /^descriptor 11 .* has an error or a time stamp that was not read yet[^\n]*$/,
  );
});

test.serial('what is not carried is named, and so is what the thaw lacks', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `${HEAD}
import subprocess
subprocess.run("ip link add name gone0 type veth peer name gone1".split(), check=True)
g = packet(); g.bind(("gone0", 3)); at(g.detach(), 10)
subprocess.run("ip link del gone0".split(), check=True)
p = packet(socket.SOCK_RAW, 0x88b5); option(p, 18, 9 | 6 << 16); at(p.detach(), 12)
`,
  );
  const named = capture(target).problems;
  t.is(named.length, 2);
  t.regex(
    named[0]!,
    /^descriptor 10 \(packet socket, .*: the interface that it was bound to is gone; use --drop-fd 10/,
  );
  t.regex(named[1]!, /^descriptor 12 .*: its fanout group has a program .*--drop-fd 12/);
  const obsolete = await startTarget(t, `${HEAD}\nat(packet(10).detach(), 11)`);
  t.regex(
    capture(obsolete).problems.join('\n'),
    /^descriptor 11 \(packet socket, .*SOCK_PACKET.*--drop-fd 11/,
  );
  const bound = `${HEAD}\ns = packet(); s.bind(("lo", 3)); member(s, 1); at(s.detach(), 10)`;
  const { before, planned } = await roundTrip(t, bound);
  const { table } = planned;
  t.is(
    await refusal(t, planned, 0, ['setpriv', '--bounding-set=-net_raw', '--inh-caps=-net_raw']),
    'cannot make a packet socket, which takes CAP_NET_RAW (descriptor 10, packet socket): Operation not permitted\n',
  );
  const file = fileOf(before, 10);
  if (file.kind !== 'packet') throw new Error('no packet socket');
  const missing = {
    ...table,
    files: table.files.map((one) => (one === file ? { ...file, interface: 'no0' } : one)),
  };
  t.is(
    await refusal(t, { ...planned, table: missing }),
    'cannot find network interface no0 (descriptor 10, packet socket): No such device\n',
  );
});

const RING = `${HEAD}
import mmap
def ring(s, version=2, number=5):
    option(s, 10, version); s.setsockopt(263, number, struct.pack("7I", 8192, 4, 2048, 16, 60000 if number == 5 else 0, 0, 0)[:16 if version < 2 else 28])
def show(s): return mmap.mmap(s.fileno(), 4 * 8192)
sender = packet(); sender.bind(("lo", 0))
def fill(protocol, packets):  # each takes a block
    for i in range(packets): sender.send(bytes(12) + struct.pack(">H", protocol) + bytes(5000))
def hear(number, protocol, packets=0):
    s = packet(); ring(s); m = show(s); s.bind(("lo", protocol)); fill(protocol, packets); at(s.detach(), number)
    return m
`;

test.serial('where the kernel goes on in a ring, and what waits there', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `${RING}
new = hear(10, 0x88b5)
some = hear(11, 0x88b6, 3)
back = hear(12, 0x88b7, 6)  # full, and then all was given back
for i in range(4): back[i * 8192 + 8:i * 8192 + 12] = bytes(4)
round = hear(13, 0x88b8, 2); round[8:12] = bytes(4); fill(0x88b8, 2); round[8192 + 8:8192 + 12] = bytes(4); fill(0x88b8, 1)
sender.close()
`,
  );
  const captured = capture(target);
  t.deepEqual(captured.problems, []);
  const rings = [10, 11, 12, 13].map((fd) => {
    const file = fileOf(captured, fd);
    return file.kind === 'packet' ? file.ring : null;
  });
  t.like(rings[0], { blockSize: 8192, blockCount: 4, frameSize: 2048, frameCount: 16, timeout: 60000 });
  const given = { packets: 1, last: 48 };
  t.like(rings[0], { first: 0, waiting: { length: 0 }, given: null });
  t.like(rings[1], { first: 3, waiting: { length: 3, 0: 0, 1: 1, 2: 2 }, given });
  t.like(rings[2], { first: 0, waiting: { length: 0 }, given: null });
  t.like(rings[3], { first: 1, waiting: { length: 3, 0: 2, 1: 3, 2: 0 }, given });
  t.is(captured.warnings.length, 4);
  t.regex(captured.warnings[0]!, /^descriptor \d+ .* whose blocks are numbered anew$/);
});

test.serial('rings that are not carried are named', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `${RING}
full = hear(10, 0x88b5, 4)
two = packet(); ring(two, 1); at(two.detach(), 11)
send = packet(); ring(send, 2, 13); at(send.detach(), 12)
hidden = packet(); ring(hidden); at(hidden.detach(), 13)
twice = packet(); ring(twice); views = show(twice), show(twice); at(twice.detach(), 14)
strange = hear(15, 0x88b6); strange[24:32] = bytes(8)
sender.close()
`,
  );
  const { problems } = capture(target);
  const why = [
    /its ring \(PACKET_RX_RING\) is full/,
    /TPACKET_V2, of which the kernel does not tell where it goes on/,
    /PACKET_TX_RING/,
    /that is not mapped/,
    /is mapped in parts, or more than once/,
    /is not as the kernel leaves it/,
  ];
  t.is(problems.length, why.length);
  for (const reason of why) {
    t.is(problems.filter((problem) => reason.test(problem)).length, 1, String(reason));
  }
  // A view has a descriptor of its own.
  for (const problem of problems) t.regex(problem, /^descriptor (\d+) \(packet socket, .*--drop-fd \1,/);
  const shared = await startTarget(
    t,
    `${RING}
view = hear(10, 0x88b5); sender.close()
if os.fork() == 0: signal.pause()
`,
  );
  t.regex(capture(shared).problems.join('\n'), /^descriptor \d+ .*another process has it open, too[^\n]*$/);
});
