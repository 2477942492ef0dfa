/** Sockets that are used by few programs, in a network namespace of their own. */
import { once } from 'node:events';
import test from 'ava';
import { openKernel } from '../../../src/kernel/open.js';
import { sharesOf } from '../../../src/snapshot/shared-address.js';
import { leaveOut } from '../../e2e/harness/needs.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { ownNetwork } from './network.js';
import { roundTrip } from './support.js';

const HEAD = `
def udp(family=socket.AF_INET): return socket.socket(family, socket.SOCK_DGRAM)
def storage(address):
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    return (struct.pack("HH", family, 0) + (b"" if len(address) == 4 else bytes(4)) + address).ljust(128, b"\\0")
def group(s, option, group, *source):
    group = socket.inet_pton(s.family, group)
    s.setsockopt(0 if s.family == socket.AF_INET else 41, option, struct.pack("Ixxxx", 1) + b"".join(storage(a) for a in (group, *[socket.inet_pton(s.family, x) for x in source])))
JOIN, BLOCK, JOIN_SOURCE = 42, 43, 46
`;

test.serial('multicast: groups with sources, and interfaces by number', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `${HEAD}
m = udp(); group(m, JOIN, "239.1.2.3"); group(m, BLOCK, "239.1.2.3", "10.0.0.1"); group(m, BLOCK, "239.1.2.3", "10.0.0.2")
for i in range(10): group(m, JOIN_SOURCE, "239.1.2.4", "10.0.1.%d" % i)
m.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1")); m.setsockopt(0, socket.IP_MULTICAST_TTL, 9); at(m.detach(), 10)
n = udp(); group(n, JOIN, "239.1.2.3"); at(n.detach(), 11)
s = udp(socket.AF_INET6); group(s, JOIN, "ff05::1234"); group(s, BLOCK, "ff05::1234", "2001:db8::1")
s.setsockopt(41, 17, 1); s.setsockopt(41, 76, struct.pack(">I", 1)); s.setsockopt(0, 50, struct.pack(">I", 1)); at(s.detach(), 12)
b = udp(); b.setsockopt(0, socket.IP_MULTICAST_LOOP, 0); at(b.detach(), 13)
`,
  );
  t.deepEqual(after.table, before.table);
  const [many, few, six] = [10, 11, 12].map((fd) => {
    const file = fileOf(before, fd);
    if (file.kind !== 'inet') throw new Error('no socket');
    return file;
  });
  t.deepEqual(
    many!.groups
      .map(({ group, interface: on, mode, sources }) => [group.join('.'), on, mode, sources.length])
      .sort(),
    [
      ['239.1.2.3', 'lo', 'exclude', 2],
      ['239.1.2.4', 'lo', 'include', 10],
    ],
  );
  t.is(few!.groups.length, 1);
  t.is(six!.groups.length, 1);
  t.deepEqual(
    six!.interfaces.map(({ name }) => name),
    ['lo', 'lo', 'lo'],
  );
  t.deepEqual(
    before.warnings.map((line) => /^descriptor (\d+) .*IP_MULTICAST_IF/.exec(line)?.[1]),
    ['11', '13'],
  );
});

test.serial('sockets share a port that each was bound to on an interface of its own', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.setsockopt(1, 25, b"lo\\0"); a.bind(("127.0.0.1", 0))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.setsockopt(1, 62, 54321); b.bind(("0.0.0.0", a.getsockname()[1]))
for s in (a, b): s.setsockopt(1, 25, b"")
at(a.detach(), 10); at(b.detach(), 11)
`,
  );
  t.deepEqual(after.table, before.table);
  t.is(sharesOf(before.table.files).needed.size, 2);
});

test.serial('raw sockets and those of ICMP echo', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `
def raw(protocol, family=socket.AF_INET): return socket.socket(family, socket.SOCK_RAW, protocol)
r = raw(1); r.setsockopt(255, 1, struct.pack("I", 0xfffffffe)); r.connect(("127.0.0.1", 0)); at(r.detach(), 10)
h = raw(253); h.setsockopt(0, socket.IP_HDRINCL, 1); h.bind(("127.0.0.1", 0)); at(h.detach(), 11)
at(raw(255).detach(), 12)
s = raw(58, socket.AF_INET6); s.setsockopt(58, 1, b"\\xff" * 32); s.bind(("::1", 0)); at(s.detach(), 13)
c = raw(253, socket.AF_INET6); c.setsockopt(41, 7, 4); c.connect(("::1", 0)); at(c.detach(), 14)
p = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1); p.bind(("127.0.0.1", 4711)); p.setsockopt(0, socket.IP_TTL, 3); at(p.detach(), 15)
q = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, 58); q.bind(("::", 4712)); q.connect(("::1", 0)); at(q.detach(), 16)
at(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1).detach(), 17)
l = raw(254); l.sendto(b"x", ("127.0.0.1", 0)); at(l.detach(), 18)
`,
  );
  t.deepEqual(after.table, before.table);
  t.like(fileOf(before, 10), { protocol: 'raw', number: 1, local: { length: 16 }, peer: { length: 16 } });
  t.like(fileOf(before, 16), { protocol: 'ping', peer: { length: 28 } });
  t.deepEqual(before.warnings, [
    'descriptor 18 (RAW socket) has datagrams that were not received yet: they are not carried',
  ]);
});

test.serial('programs that are not carried are named', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `
code = ctypes.create_string_buffer(struct.pack("<BBhi", 0xb7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0))
name = ctypes.create_string_buffer(b"GPL")
load = struct.pack("<IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(name)).ljust(128, b"\\0")
program = libc.syscall(321, 5, load, len(load))
if program < 0: raise OSError(ctypes.get_errno(), "bpf")
for n, family in ((11, socket.AF_INET), (12, socket.AF_UNIX)):
    b = socket.socket(family, socket.SOCK_DGRAM); b.setsockopt(socket.SOL_SOCKET, 50, program); at(b.detach(), n)
os.close(program)
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 2);
  t.regex(problems[0]!, /^descriptor 11 \(UDP socket, .*SO_ATTACH_BPF/);
  t.regex(problems[1]!, /^descriptor 12 .*SO_ATTACH_BPF/);
});

test.serial('the socket of a multicast router is refused, others of its protocol are not', async (t) => {
  if (!ownNetwork(t)) return;
  const [MRT_INIT, IGMP] = [200, 2];
  const code = (routes: string): string => `
r = at(socket.socket(socket.AF_INET, socket.SOCK_RAW, ${IGMP}).detach(), 10)
${routes}
`;
  const router = await startTarget(
    t,
    code(`s = socket.socket(fileno=os.dup(10)); s.setsockopt(0, ${MRT_INIT}, 1); s.close()`),
  );
  const { problems } = capture(router);
  t.is(problems.length, 1);
  t.regex(
    problems[0]!,
    /^descriptor 10 \(RAW socket, .*\) cannot be carried: it may route multicast packets \(MRT_INIT\)/,
  );
  router.child.kill('SIGKILL');
  await once(router.child, 'exit');
  const other = await startTarget(t, code(''));
  t.deepEqual(capture(other).problems, []);
});

test.serial('what no call tells of a socket is warned of where the kernel shows it', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `${HEAD}
def six(): return udp(socket.AF_INET6)
at(six().detach(), 10)
a = six(); a.setsockopt(41, 50, socket.inet_pton(socket.AF_INET6, "::1") + struct.pack("i", 0)); at(a.detach(), 11)
b = six(); b.setsockopt(41, 24, 1400); at(b.detach(), 12)
c = six(); c.setsockopt(41, 32, socket.inet_pton(socket.AF_INET6, "::1") + struct.pack(">I", 0) + struct.pack("BBHHHI", 0, 255, 1, 0, 0, 0)); at(c.detach(), 13)
d = socket.socket(socket.AF_INET6); d.setsockopt(41, 24, 1400); d.setsockopt(41, 50, socket.inet_pton(socket.AF_INET6, "::1") + struct.pack("i", 0)); at(d.detach(), 14)
at(udp().detach(), 15)
`,
  );
  const { problems, warnings } = capture(target);
  t.deepEqual(problems, []);
  const blind = openKernel();
  if (typeof blind === 'string') return leaveOut(t, blind);
  t.deepEqual(
    warnings.map((line) =>
      /^descriptor (\d+) \(socket:\[\d+\]\): (.*), which it has set, cannot be carried$/.exec(line)?.slice(1),
    ),
    [
      ['11', 'IPV6_PKTINFO'],
      ['12', 'IPV6_MTU'],
      ['13', 'IPV6_FLOWLABEL_MGR'],
      ['14', 'IPV6_PKTINFO, IPV6_MTU'],
    ],
  );
});
