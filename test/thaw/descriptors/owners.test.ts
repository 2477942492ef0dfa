/** Whom sockets and pipes belong to, made again by root. */
import { testAsRoot } from '../../e2e/harness/needs.js';
import { roundTrip } from './support.js';

const NOBODY = 65534;

testAsRoot('sockets and pipes of a process that has given up root', async (t) => {
  const { again } = await roundTrip(
    t,
    `
import os, socket
first = os.pipe()
os.write(first[1], b"root's")
os.setgroups([]); os.setgid(${NOBODY}); os.setuid(${NOBODY})
second = os.pipe()
os.write(second[1], b"data")
pair = socket.socketpair()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen(2)
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
`,
  );
  const owners = again.table.files.flatMap(({ kind, owner }) =>
    owner ? [[kind, owner.uid, owner.gid]] : [],
  );
  t.deepEqual(owners, [
    ...['pipe', 'pipe'].map((kind) => [kind, 0, 0]),
    ...['pipe', 'pipe', 'unix', 'unix', 'inet', 'inet', 'netlink'].map((kind) => [kind, NOBODY, NOBODY]),
  ]);
});
