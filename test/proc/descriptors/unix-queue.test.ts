import { closeSync } from 'node:fs';
import test from 'ava';
import type { UnixSocket } from '../../../src/native/sock-diag.js';
import { makeSocketPair, type Peeked } from '../../../src/native/sockets.js';
import { Refusal } from '../../../src/proc/descriptors/refusal.js';
import { captureQueue } from '../../../src/proc/descriptors/unix-queue.js';
import { Sock } from '../../../src/socket.js';

const PID = 7;

/** What is found of a stream in which one part waits that bears these credentials. */
function queueWith(credentials: Peeked['credentials']) {
  const part: Peeked = {
    ...{ bytes: Uint8Array.of(1), length: 1, credentials, sender: null },
    ...{ inq: false, more: false, descriptors: [] },
  };
  const [one, other] = makeSocketPair(Sock.STREAM);
  try {
    const socket = { type: Sock.STREAM, queued: 1, name: new Uint8Array(), inode: 1n } as UnixSocket;
    const where = 'inside';
    return captureQueue(one, { pid: PID, socket, where, peer: null, found: [part], carried: 0 });
  } finally {
    closeSync(one);
    closeSync(other);
  }
}

test('whose credentials a message bears', (t) => {
  t.like(queueWith(null), { credentials: false, senders: [] });
  t.like(queueWith([PID, 3, 4]), { credentials: true, senders: [{ uid: 3, gid: 4 }] });
  const refused = (credentials: [number, number, number], message: RegExp) =>
    t.throws(() => queueWith(credentials), { instanceOf: Refusal, message });
  refused([PID + 1, 3, 4], /the credentials of process 8$/);
  // One that nobody has sent, and one from outside of the process's pid namespace, both without an id.
  t.like(queueWith([0, 65534, 65534]), { credentials: false });
  refused([0, 1000, 65534], /of a process of another pid namespace$/);
});
