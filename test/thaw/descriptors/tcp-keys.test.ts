/** Keys of TCP MD5 signatures, in a network namespace of our own: to tell them takes CAP_NET_ADMIN there. */
import test from 'ava';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { ownNetwork } from './network.js';
import { plan, roundTrip } from './support.js';

const HEAD = `
PREFIX, IFINDEX = 1, 2
def key(s, host, value, flags=0, prefix=0):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    who = struct.pack("HH", family, 0) + bytes(4 if family == socket.AF_INET6 else 0) + socket.inet_pton(family, host)
    s.setsockopt(6, 32, who.ljust(128, b"\\0") + struct.pack("BBHi80s", flags, prefix, len(value), 0, value))
def listening(family=socket.AF_INET):
    s = socket.socket(family); s.bind(("::" if family == socket.AF_INET6 else "127.0.0.1", 0)); s.listen(); return s
`;

/** Keys as text, the latest first. */
function keysOf(captured: Parameters<typeof fileOf>[0], fd: number): string[] {
  const file = fileOf(captured, fd);
  if (file.kind !== 'inet') throw new Error('no socket');
  return file.keys.map(({ host, prefix, key }) => `${host.join('.')}/${prefix} ${Buffer.from(key)}`);
}

test.serial('keys of hosts and networks come back, over IPv4 and IPv6', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after, planned } = await roundTrip(
    t,
    `${HEAD}
l = listening(); key(l, "127.0.0.9", b"first"); key(l, "10.1.2.3", b"second", PREFIX, 8); key(l, "0.0.0.0", b"x" * 80, PREFIX, 0)
at(l.detach(), 10)
six = listening(socket.AF_INET6); key(six, "::1", b"six"); key(six, "::ffff:10.0.0.0", b"mapped", PREFIX, 8); key(six, "2001:db8::", b"\\0\\xff", PREFIX, 33)
at(six.detach(), 11)
f = listening(socket.AF_INET6); f.setsockopt(41, 59, b"\\0" * 8)
filter = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 100)); f.setsockopt(1, 26, struct.pack("HxxxxxxP", 1, ctypes.addressof(filter)))
at(f.detach(), 12)
at(listening().detach(), 13)
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(keysOf(before, 10), [`0.0.0.0/0 ${'x'.repeat(80)}`, '10.1.2.3/8 second', '127.0.0.9/32 first']);
  t.is(keysOf(before, 11).length, 3);
  t.is(keysOf(before, 11)[1], '10.0.0.0/8 mapped');
  t.deepEqual(keysOf(before, 12), []);
  t.deepEqual(keysOf(before, 13), []);
  t.deepEqual(before.warnings, []);
  const listing = plan(planned).ops.map((op) => ('text' in op ? op.text : ''));
  t.true(listing.includes('setsockopt(10, TCP_MD5SIG_EXT, [6 bytes for 10.1.2.3/8])'));
  t.false(
    listing.some((text) => text?.includes(Buffer.from('second').toString('hex'))),
    'a key is not shown',
  );
});

test.serial('keys that are not told of in full are refused', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `${HEAD}
d = listening(); key(d, "10.0.0.1", b"any"); key(d, "10.0.0.1", b"none", IFINDEX); at(d.detach(), 10)
b = socket.socket(); b.bind(("127.0.0.1", 0)); key(b, "127.0.0.1", b"bound"); at(b.detach(), 12)
u = socket.socket(socket.AF_INET6); key(u, "::1", b"unbound"); at(u.detach(), 13)
at(socket.socket().detach(), 14)
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 3);
  t.regex(
    problems[0]!,
    /^descriptor 10 \(TCP socket, .*two keys for TCP_MD5SIG for 10\.0\.0\.1\/32.*--drop-fd 10/,
  );
  t.regex(problems[1]!, /^descriptor 12 \(TCP socket, .*seems to have keys \(TCP_MD5SIG\).*--drop-fd 12/);
  t.regex(problems[2]!, /^descriptor 13 \(TCPv6 socket, .*seems to have keys/);
  // In a process of its own: whatever lies behind it in the kernel's table is left out, too.
  const many = await startTarget(
    t,
    `${HEAD}
open("/proc/sys/net/core/optmem_max", "w").write("1000000")
m = listening()
for i in range(400): key(m, "10.0.%d.%d" % (i >> 8, i & 255), b"key")
at(m.detach(), 11)
`,
  );
  t.regex(
    capture(many).problems.join(),
    /^descriptor 11 \(TCP socket, .*sock_diag\(7\) leaves it out.*--drop-fd 11/,
  );
});
