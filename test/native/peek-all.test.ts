import { closeSync, readdirSync } from 'node:fs';
import test from 'ava';
import { addon } from '../../src/native/addon.js';
import { peekAll } from '../../src/native/peek-all.js';
import { integerOption, makeSocketPair, peek, sendNow } from '../../src/native/sockets.js';
import { SO, Sock } from '../../src/socket.js';

test('messages are seen as they are, however often', (t) => {
  const [from, to] = makeSocketPair(Sock.DGRAM);
  const texts = ['first', 'second', 'third'];
  for (const text of texts) sendNow(from, Buffer.from(text));
  // Room for many lets the garbage collector run between preparing a call and making it.
  for (let i = 0; i < 300; i++) {
    const seen = peekAll(to, 65536, 1024).map(({ bytes }) => Buffer.from(bytes).toString());
    if (seen.join() !== texts.join()) t.fail(`look ${i}: ${JSON.stringify(seen)}`);
  }
  t.is(integerOption(to, SO.PEEK_OFF), -1);
  closeSync(from);
  closeSync(to);
});

/** Sends a byte with a descriptor (SCM_RIGHTS). */
function sendDescriptor(from: number, descriptor: number): void {
  const byte = Uint8Array.of(1);
  const vector = BigUint64Array.of(addon.address(byte), 1n);
  const control = Buffer.alloc(24); // struct cmsghdr, and the descriptor
  control.writeBigUInt64LE(20n, 0);
  control.writeInt32LE(1, 8); // SOL_SOCKET
  control.writeInt32LE(1, 12); // SCM_RIGHTS
  control.writeInt32LE(descriptor, 16);
  const header = BigUint64Array.of(
    ...[0n, 0n, addon.address(vector), 1n],
    ...[addon.address(control), BigInt(control.length), 0n],
  );
  addon.syscall(46, from, new Uint8Array(header.buffer), 0, byte, new Uint8Array(vector.buffer), control); // sendmsg
}

test('a look takes no descriptors that it has not asked for', (t) => {
  const [from, to] = makeSocketPair(Sock.DGRAM);
  const numbers = (): string => readdirSync('/proc/self/fd').join();
  try {
    sendDescriptor(from, from);
    const before = numbers();
    t.like(peek(to, 1), { length: 1, descriptors: [], more: true });
    t.like(peekAll(to, 1, 2)[0], { length: 1, descriptors: [], more: true });
    t.is(numbers(), before);
    const [{ descriptors }] = peekAll(to, 1, 2, true) as [ReturnType<typeof peek>];
    t.is(descriptors.length, 1);
    closeSync(descriptors[0]!);
  } finally {
    closeSync(from);
    closeSync(to);
  }
});
