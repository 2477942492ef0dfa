/** Whom Unix domain sockets tell to be at their other end, made again by root. */
import { readFileSync } from 'node:fs';
import type { CapturedDescriptors } from '../../../src/proc/descriptors/index.js';
import { testAsRoot } from '../../e2e/harness/needs.js';
import { fileOf } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

const NOBODY = 65534;
/** Goes on as somebody else, who can become root again. */
const BECOMES = `
def become(uid, gid, *groups):
    os.seteuid(0); os.setegid(gid); os.setgroups(groups); os.seteuid(uid)
`;

function makerOf(captured: Pick<CapturedDescriptors, 'table'>, fd: number) {
  const file = fileOf(captured, fd);
  return file.kind === 'unix' ? file.peerCredentials : undefined;
}

testAsRoot('messages of a process that was others when it sent them', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
for n, kind in ((10, socket.SOCK_STREAM), (20, socket.SOCK_DGRAM), (30, socket.SOCK_SEQPACKET)):
    a, b = socket.socketpair(socket.AF_UNIX, kind); b.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    if kind != socket.SOCK_STREAM: a.send(b"root's")
    os.setresgid(3, 3, 0); os.setresuid(${NOBODY}, ${NOBODY}, 0)
    a.send(b"its own"); a.send(b" and more")
    os.setresuid(0, 0, 0); os.setresgid(0, 0, 0)
    at(a.detach(), n); at(b.detach(), n + 1)
`,
  );
  t.deepEqual(after.table, before.table);
  const other = { uid: NOBODY, gid: 3 };
  t.like(fileOf(before, 11), { senders: [other] });
  for (const fd of [21, 31]) t.like(fileOf(before, fd), { senders: [{ uid: 0, gid: 0 }, other, other] });
});

testAsRoot('pairs, listening sockets and connections of a process that was others meanwhile', async (t) => {
  const { before, after, child } = await roundTrip(
    t,
    `${BECOMES}
# Others do not get into the folders above.
os.chmod('.', 0o755); folder = os.getcwd(); os.umask(0o077)
def connect(name, n, client):
    c = socket.socket(socket.AF_UNIX); become(*client); c.connect(name); become(0, 0)
    l = socket.socket(fileno=os.dup(n)); at(c.detach(), n + 1); at(l.accept()[0].detach(), n + 2); l.close()
def listen(name, n, who):
    l = socket.socket(socket.AF_UNIX); l.bind(name); become(*who); l.listen(7); become(0, 0)
    at(l.detach(), n)
become(0, 0)
a, b = socket.socketpair(); at(a.detach(), 10); at(b.detach(), 11)
become(${NOBODY}, 3, 5, 6)
a, b = socket.socketpair(type=socket.SOCK_SEQPACKET); at(a.detach(), 12); at(b.detach(), 13)
become(1, 0)
a, b = socket.socketpair(type=socket.SOCK_DGRAM); b.close(); at(a.detach(), 14)
become(${NOBODY}, 3, 5, 6)
a, b = socket.socketpair(); at(a.detach(), 15); at(b.detach(), 16)
become(0, 0)
listen("\\0makers %d" % os.getpid(), 20, (1, 2, 3)); connect(b"\\0makers %d" % os.getpid(), 20, (4, 5))
listen(folder + "/path", 30, (6, 7)); os.chmod("path", 0o777); connect("path", 30, (8, 9, 10)); os.chmod("path", 0o700)
listen(folder + "/closed", 40, (6, 0)); os.chmod("closed", 0o777); connect("closed", 40, (8, 0)); os.close(40)
os.unlink("closed")
at(socket.socket(socket.AF_UNIX).detach(), 50)
`,
  );
  t.deepEqual(before.warnings, []);
  const maker = (uid: number, gid: number, ...groups: number[]) => ({ uid, gid, groups });
  const told: [number, ReturnType<typeof maker> | null][] = [
    ...[10, 11].map((fd) => [fd, maker(0, 0)] as [number, ReturnType<typeof maker>]),
    ...[12, 13, 15, 16].map((fd) => [fd, maker(NOBODY, 3, 5, 6)] as [number, ReturnType<typeof maker>]),
    [14, maker(1, 0)],
    ...([[20, 21, 22]] as const).flatMap(([listener, client, accepted]) => [
      [listener, maker(1, 2, 3)] as [number, ReturnType<typeof maker>],
      [client, maker(1, 2, 3)] as [number, ReturnType<typeof maker>],
      [accepted, maker(4, 5)] as [number, ReturnType<typeof maker>],
    ]),
    [30, maker(6, 7)],
    [31, maker(6, 7)],
    [32, maker(8, 9, 10)],
    [41, maker(6, 0)],
    [42, maker(8, 0)],
    [50, null],
  ];
  for (const [fd, tells] of told) t.deepEqual(makerOf(before, fd), tells, `descriptor ${fd}`);
  t.deepEqual(after.table, before.table);
  const status = (pid: number | string) =>
    readFileSync(`/proc/${pid}/status`, 'utf8')
      .split('\n')
      .filter((line) => /^(Uid|Gid|Groups|CapEff|CapPrm):/.test(line));
  t.deepEqual(status(child.pid!), status('self'), 'whoever carries it out is the same again');
});
