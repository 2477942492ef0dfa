/** Sockets that another process has, too: an image could not bind their address beside it. */
import test from 'ava';
import { NO_CHOICES } from '../../src/proc/descriptors/choices.js';
import { surveySharedSockets } from '../../src/proc/shared-sockets.js';
import { startTarget } from './descriptors/support.js';

test('sockets that listen, are bound, or receive are refused where another process has them', async (t) => {
  const { pid } = await startTarget(
    t,
    `
S = socket.socket
def local(s): s.bind(("127.0.0.1", 0)); return s
l = local(S()); l.listen(); at(l.detach(), 20)
at(local(S()).detach(), 21)
at(local(S(type=socket.SOCK_DGRAM)).detach(), 22)
at(S(type=socket.SOCK_DGRAM).detach(), 23)
at(S().detach(), 24)
n = S(socket.AF_NETLINK, socket.SOCK_RAW, 0); n.bind((0, 0)); at(n.detach(), 25)
one, other = os.pipe()
child = os.fork()
if child == 0:
    os.close(other)
    os.read(one, 1)
    os._exit(0)
os.close(one)
at(local(S(type=socket.SOCK_DGRAM)).detach(), 26)
`,
  );
  const lines = surveySharedSockets(pid, NO_CHOICES);
  const found = lines.map((line) => [
    Number(/^descriptor (\d+) /.exec(line)?.[1]),
    /has it open, too, stays behind, and keeps the (address|netlink port) /.exec(line)?.[1],
  ]);
  t.deepEqual(found, [
    [20, 'address'],
    [21, 'address'],
    [22, 'address'],
    [25, 'netlink port'],
  ]);
  t.regex(
    lines[0]!,
    /\(TCP socket, socket:\[\d+\]\) cannot be carried: process \S+ .*; use --drop-fd 20, --external 20, or --fd 20=PATH$/,
  );
  t.deepEqual(surveySharedSockets(pid, { ...NO_CHOICES, drop: new Set([20, 21, 22, 25]) }), []);
});
