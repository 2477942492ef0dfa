import test from 'ava';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { ownNetwork } from './network.js';
import { refusal, roundTrip, withContent } from './support.js';

test.serial('netlink sockets', async (t) => {
  if (!ownNetwork(t)) return;
  const { before, after } = await roundTrip(
    t,
    `
def netlink(protocol, type=socket.SOCK_RAW): return socket.socket(socket.AF_NETLINK, type, protocol)
r = netlink(0); r.bind((0, 0)); r.setblocking(False); r.setsockopt(270, 12, 1); r.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50000); at(r.detach(), 10)
g = netlink(0, socket.SOCK_DGRAM); g.bind((4711, 0x11)); g.setsockopt(270, 1, 33); g.connect((0, 2)); at(g.detach(), 11)
at(netlink(0).detach(), 12)
u = netlink(15); u.bind((0, 1)); u.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1); at(u.detach(), 13)
x = netlink(6); x.bind((0, 3)); at(x.detach(), 15)
n = netlink(12); n.bind((4712, 0x40)); at(n.detach(), 16)
f = netlink(10); f.bind((0, 0)); at(f.detach(), 17)
d = netlink(4); d.bind((0, 0)); d.send(struct.pack("IHHII", 16, 3, 5, 1, 0)); at(d.detach(), 14)
`,
  );
  t.deepEqual(after.table, before.table);
  t.like(fileOf(before, 10), { type: 'raw', groups: [] });
  t.like(fileOf(before, 11), { type: 'datagram', port: 4711, groups: [1, 5, 33], peer: { length: 12 } });
  t.like(fileOf(before, 12), { port: 0, peer: null });
  t.like(fileOf(before, 13), { protocol: 15, groups: [1] });
  t.like(fileOf(before, 15), { protocol: 6, groups: [1, 2] });
  t.like(fileOf(before, 16), { protocol: 12, port: 4712, groups: [7] });
  t.like(fileOf(before, 17), { protocol: 10 });
  t.is(before.warnings.length, 1);
  t.regex(before.warnings[0]!, /^descriptor 14 \(netlink socket, .*messages that were not received/);
  // The process that was made just now has it.
  t.regex(
    await refusal(t, withContent(before.table, before.objects)),
    /^cannot bind netlink port \d+ \(descriptor 10, netlink socket\): Address already in use\n$/,
  );
});

test.serial('a netlink socket to which the packet filter has tied something is refused', async (t) => {
  if (!ownNetwork(t)) return;
  const target = await startTarget(
    t,
    `
def message(type, flags, resource, *attributes):
    body = struct.pack(">BBH", 1, 0, resource) + b"".join(struct.pack("HH", 4 + len(v), k) + v + bytes(-len(v) % 4) for k, v in attributes)
    return struct.pack("IHHII", 16 + len(body), type, flags, 1, 0) + body
def netfilter(number, port, sent):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12); s.bind((port, 0)); s.send(sent)
    assert struct.unpack_from("Hxxxxxxxxxxi", s.recv(4096), 4) == (2, 0)
    at(s.detach(), number)
netfilter(10, 5001, message(0x302, 5, 31, (1, struct.pack(">BxH", 1, 2))))
netfilter(11, 5002, message(0x401, 5, 32, (1, b"\\1")))
netfilter(12, 5003, message(16, 1, 10) + message(0xa00, 0x405, 0, (1, b"owned\\0"), (2, struct.pack(">I", 2))) + message(17, 1, 10))
netfilter(13, 5004, message(16, 5, 10) + message(17, 1, 10))
`,
  );
  const { problems } = capture(target);
  t.deepEqual(
    problems.map((line) => /^descriptor (\d+) .*the kernel has tied to it: ([^;]*);/.exec(line)?.slice(1)),
    [
      ['10', 'queue 31'],
      ['11', 'log group 32'],
      ['12', 'table owned'],
    ],
  );
});
