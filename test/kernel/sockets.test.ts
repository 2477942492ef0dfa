import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { putTogether } from '../../src/inet.js';
import { KernelFault, KernelMemory } from '../../src/kernel/memory.js';
import { findPages } from '../../src/kernel/pages.js';
import { readSendQueue, sendQueueLength, sockOf } from '../../src/kernel/sockets.js';
import { addon } from '../../src/native/addon.js';
import { makeSocket } from '../../src/native/sockets.js';
import { testKernel } from './support.js';

const NR_SENDTO = 44;
const MSG_MORE = 0x8000;

testKernel('what is not sent yet is read, be it in pages or not', (t, kernel) => {
  const fd = makeSocket(2, 2);
  try {
    const sock = sockOf(kernel, fd);
    t.is(sendQueueLength(kernel, sock), 0n);
    const pieces = [1, 100, 30_000, 7].map((size) => randomBytes(size));
    const to = putTogether(Uint8Array.of(127, 0, 0, 1), 9);
    for (const piece of pieces) addon.syscall(NR_SENDTO, fd, piece, piece.length, MSG_MORE, to, to.length);
    t.is(sendQueueLength(kernel, sock), 1n);
    const read = readSendQueue(kernel, sock);
    t.deepEqual(Buffer.concat(read).subarray(8), Buffer.concat(pieces));
  } finally {
    closeSync(fd);
  }
});

testKernel('where pages are is not learned from what is no cache', (t) => {
  const another = new KernelMemory();
  t.throws(() => findPages(another, 0n), { instanceOf: KernelFault });
  another.close();
});
