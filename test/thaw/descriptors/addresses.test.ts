import { once } from 'node:events';
import test from 'ava';
import { openKernel } from '../../../src/kernel/open.js';
import type { OpenFileOf } from '../../../src/snapshot/descriptors.js';
import type { Sharer } from '../../../src/snapshot/ports.js';
import { sharesOf } from '../../../src/snapshot/shared-address.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { refusal, restore, roundTrip, withContent } from './support.js';

type Inet = OpenFileOf<'inet'>;

/** `share(type, option)`: two sockets at one address by an option that is off then. */
const SHARE = `
S = socket.SOL_SOCKET
def at_same(type, option, host="127.0.0.1", family=socket.AF_INET):
    a, b = socket.socket(family, type), socket.socket(family, type)
    for s in (a, b): s.setsockopt(S, option, 1); s.bind((host, 0) if s is a else a.getsockname())
    return a, b
def share(type, option, *rest):
    a, b = at_same(type, option, *rest)
    for s in (a, b): s.setsockopt(S, option, 0)
    return a, b
`;

function socketOf(of: Parameters<typeof fileOf>[0], fd: number): Inet {
  const file = fileOf(of, fd);
  if (file.kind !== 'inet') throw new Error('no socket');
  return file;
}

test('sockets share an address by options that are off by now', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `${SHARE}
number = 50
for pair in (
    share(socket.SOCK_DGRAM, socket.SO_REUSEADDR), share(socket.SOCK_DGRAM, socket.SO_REUSEPORT),
    share(socket.SOCK_STREAM, socket.SO_REUSEADDR), share(socket.SOCK_STREAM, socket.SO_REUSEPORT),
    share(socket.SOCK_DGRAM, socket.SO_REUSEADDR, "::", socket.AF_INET6),
):
    for s in pair: at(s.detach(), number); number += 1
a, b = at_same(socket.SOCK_STREAM, socket.SO_REUSEPORT); a.listen(3); b.listen(4); a.setsockopt(S, socket.SO_REUSEPORT, 0)
at(a.detach(), 60); at(b.detach(), 61)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); six.setsockopt(S, socket.SO_REUSEADDR, 1); six.bind(("::", 0))
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); four.setsockopt(S, socket.SO_REUSEADDR, 1); four.bind(("127.0.0.1", six.getsockname()[1]))
four.setsockopt(S, socket.SO_REUSEADDR, 0); at(six.detach(), 62); at(four.detach(), 63)
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(before.warnings.length > 0, typeof openKernel() === 'string', before.warnings.join('\n'));
});

test('an address that is shared must be free of strangers', async (t) => {
  const target = await startTarget(
    t,
    `${SHARE}
a, b = share(socket.SOCK_DGRAM, socket.SO_REUSEADDR); at(a.detach(), 10); at(b.detach(), 11)`,
  );
  const before = capture(target);
  target.child.kill('SIGKILL');
  await once(target.child, 'exit');
  const port = Buffer.from(socketOf(before, 10).local!).readUInt16BE(2);
  const stranger = await startTarget(
    t,
    `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(1, 2, 1); s.bind(("127.0.0.1", ${port})); at(s.detach(), 10)`,
  );
  const planned = withContent(before.table, before.objects);
  const taken = `cannot bind 127.0.0.1:${port} (descriptor 10, UDP socket): Address already in use\n`;
  t.is(await refusal(t, planned), taken);
  t.is(await refusal(t, planned, 2), taken);
  stranger.child.kill('SIGKILL');
});

test('what was switched off since is on as the address is taken', async (t) => {
  const { before, after, planned, child } = await roundTrip(
    t,
    `
a = socket.socket(); a.setsockopt(0, 15, 1); a.bind(("203.0.113.1", 0)); a.setsockopt(0, 15, 0); a.listen(1); at(a.detach(), 10)
b = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); b.setsockopt(41, 78, 1); b.bind(("2001:db8::1", 0)); b.setsockopt(41, 78, 0); at(b.detach(), 11)
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.setsockopt(1, 6, 1); c.connect(("127.255.255.255", 9)); c.setsockopt(1, 6, 0); at(c.detach(), 12)
if os.geteuid() == 0:
    d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.setsockopt(0, 19, 1); d.bind(("203.0.113.2", 0)); d.connect(("127.0.0.1", 9)); d.setsockopt(0, 19, 0); at(d.detach(), 13)
`,
  );
  t.deepEqual(after.table, before.table);
  const off = [10, 11, 12].map((fd) => socketOf(before, fd).switchedOff);
  t.deepEqual(off, [['freeBind'], ['freeBind'], ['broadcast']]);
  child.kill('SIGKILL');
  await once(child, 'exit');
  socketOf(planned, 11).switchedOff = [];
  t.regex(
    await refusal(t, planned),
    /^cannot bind \[2001:db8::1\]:\d+ .*: Cannot assign requested address\n$/,
  );
});

const WAYS = `
def udp(family, bound, peer):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if bound: s.bind(bound)
    if peer: s.connect((peer, 9))
    return s
for number, way in enumerate((
    (socket.AF_INET, None, "127.0.0.1"), (socket.AF_INET, ("0.0.0.0", 0), "127.0.0.1"), (socket.AF_INET, ("127.0.0.2", 0), "127.0.0.1"),
    (socket.AF_INET6, None, "::1"), (socket.AF_INET6, ("::", 0), "::1"), (socket.AF_INET6, ("::1", 0), None), (socket.AF_INET6, None, "::"),
)): at(udp(*way).detach(), 10 + number)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(0, 51, struct.pack("HH", 50000, 50001)); s.connect(("127.0.0.1", 9)); at(s.detach(), 20)
`;

test('what the kernel had chosen of an address it chooses again', async (t) => {
  const { before, after } = await roundTrip(t, WAYS);
  t.deepEqual(after.table, before.table);
  t.deepEqual(before.warnings, []);
  if (typeof openKernel() === 'string') return;
  const chosen = [10, 11, 12, 13, 15].map((fd) => socketOf(before, fd).chosen.join(' '));
  t.deepEqual(chosen, ['address port', 'address port', 'port', 'address port', 'port']);
});

test('where it cannot, the address is bound', async (t) => {
  const target = await startTarget(
    t,
    `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.2", 0)); s.connect(("127.0.0.1", 9)); at(s.detach(), 10)
r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); r.bind(("127.0.0.1", 1)) if os.geteuid() == 0 else None; at(r.detach(), 11)`,
  );
  const before = capture(target);
  target.child.kill('SIGKILL');
  await once(target.child, 'exit');
  // The way to the peer leads from 127.0.0.1; and 1 is a port that the kernel never chooses.
  socketOf(before, 10).chosen = ['address'];
  socketOf(before, 11).chosen = socketOf(before, 11).local ? ['port'] : [];
  const planned = withContent(before.table, before.objects);
  const child = await restore(t, planned);
  const after = capture({ pid: child.pid! });
  t.deepEqual(socketOf(after, 10).local, socketOf(before, 10).local);
  t.deepEqual(socketOf(after, 11).local, socketOf(before, 11).local);
});

const sharer = (protocol: Inet['protocol'], host: number[], port: number, fields: Partial<Sharer> = {}) => {
  const local = Buffer.alloc(host.length === 4 ? 16 : 28);
  local.writeUInt16LE(host.length === 4 ? 2 : 10, 0);
  local.writeUInt16BE(port, 2);
  local.set(host, host.length === 4 ? 4 : 8);
  const none = { options: [], interfaces: [], backlog: null, switchedOff: [], ended: null, connection: null };
  return { kind: 'inet', protocol, local, ...none, ...fields } as unknown as Inet;
};

test('only what has an address in common shares it', (t) => {
  const on = (...flags: number[]) => ({
    options: flags.map((option) => ({ level: 1, option, value: Uint8Array.of(1, 0, 0, 0) })),
  });
  const needed = (...files: Inet[]) =>
    [...sharesOf(files).needed].map(([index, how]) => `${index} ${[...how].join(' ')}`);
  const [host, other, any, six] = [[127, 0, 0, 1], [127, 0, 0, 2], [0, 0, 0, 0], Array<number>(16).fill(0)];
  const both = ['0 reuseAddress', '1 reuseAddress'];
  t.deepEqual(needed(sharer('udp', host, 1), sharer('udp', host, 1)), both);
  t.deepEqual(needed(sharer('udp', host, 1), sharer('udp', host, 2)), []);
  t.deepEqual(needed(sharer('udp', host, 1), sharer('udplite', host, 1)), []);
  t.deepEqual(needed(sharer('udp', host, 1), sharer('udp', other, 1)), []);
  t.deepEqual(needed(sharer('udp', any, 1), sharer('udp', other, 1)), both);
  t.deepEqual(needed(sharer('udp', six, 1), sharer('udp', other, 1)), both);
  const only = { options: [{ level: 41, option: 26, value: Uint8Array.of(1, 0, 0, 0) }] };
  t.deepEqual(needed(sharer('udp', six, 1, only), sharer('udp', other, 1)), []);
  t.deepEqual(needed(sharer('tcp', host, 1), sharer('mptcp', host, 1)), both);
  t.deepEqual(needed(sharer('udp', host, 1, on(2)), sharer('udp', host, 1, on(2))), []);
  t.deepEqual(needed(sharer('udp', host, 1, on(15)), sharer('udp', host, 1, on(15))), []);
  t.deepEqual(needed(sharer('udp', host, 1, on(2)), sharer('udp', host, 1, on(15))), both);
  const listening = { backlog: 1, ...on(2) };
  t.deepEqual(needed(sharer('tcp', host, 1, listening), sharer('tcp', host, 1, on(2))), []);
  const byPort = ['0 reusePort', '1 reusePort'];
  t.deepEqual(needed(sharer('tcp', host, 1, listening), sharer('tcp', host, 1, listening)), byPort);
  const group = { switchedOff: ['reusePort' as const] };
  t.deepEqual(needed(sharer('udp', host, 1, group), sharer('udp', host, 1, on(15))), byPort);
  const device = (name: string) => ({ options: [{ level: 1, option: 25, value: Buffer.from(name) }] });
  t.deepEqual(needed(sharer('udp', any, 1, device('lo')), sharer('udp', any, 1, device('eth0'))), []);
  const chain = [sharer('udp', host, 1), sharer('udp', other, 1), sharer('udp', any, 1)];
  t.deepEqual(sharesOf(chain).together.get(1), [0, 1, 2]);
});
