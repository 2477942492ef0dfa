import { closeSync } from 'node:fs';
import test from 'ava';
import { peekAll } from '../../src/native/peek-all.js';
import { integerOption, makeSocketPair, sendNow } from '../../src/native/sockets.js';
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
