import test from 'ava';
import { addressText, isBound, optionName, SOCKET_OPTIONS, scopeOf } from '../src/inet.js';

function v6(words: number[], port: number, scope = 0): Uint8Array {
  const address = Buffer.alloc(28);
  address.writeUInt16LE(10, 0);
  address.writeUInt16BE(port, 2);
  words.forEach((word, i) => {
    address.writeUInt16BE(word, 8 + 2 * i);
  });
  address.writeUInt32LE(scope, 24);
  return address;
}

test('addresses as people write them', (t) => {
  t.is(addressText(Uint8Array.of(2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)), '127.0.0.1:80');
  t.is(addressText(v6([0, 0, 0, 0, 0, 0, 0, 0], 0)), '[::]:0');
  t.is(addressText(v6([0, 0, 0, 0, 0, 0, 0, 1], 80)), '[::1]:80');
  t.is(addressText(v6([0x2001, 0xdb8, 0, 0, 1, 0, 0, 0], 443)), '[2001:db8:0:0:1::]:443');
  t.is(addressText(v6([1, 0, 2, 3, 4, 5, 6, 10], 1)), '[1:0:2:3:4:5:6:a]:1');
  t.is(addressText(v6([0xfe80, 0, 0, 0, 0, 0, 0, 1], 9, 2)), '[fe80::1%2]:9');
  t.is(addressText(v6([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], 80)), '[::ffff:127.0.0.1]:80');
});

test('what an address tells', (t) => {
  t.false(isBound(v6([0, 0, 0, 0, 0, 0, 0, 0], 0), 'udp'));
  t.true(isBound(v6([0, 0, 0, 0, 0, 0, 0, 0], 1), 'udp'));
  t.false(isBound(v6([0, 0, 0, 0, 0, 0, 0, 0], 58), 'raw'));
  t.true(isBound(v6([0, 0, 0, 0, 0, 0, 0, 1], 0), 'raw'));
  t.is(scopeOf(v6([0xfe80, 0, 0, 0, 0, 0, 0, 1], 9, 2)), 2);
});

test('no option is listed twice, and each has its name', (t) => {
  const keys = SOCKET_OPTIONS.map(({ level, option }) => `${level} ${option}`);
  t.is(new Set(keys).size, keys.length);
  t.is(optionName(6, 1), 'TCP_NODELAY');
  t.is(optionName(1, 8), 'SO_RCVBUF');
  t.is(optionName(6, 999), 'option 999 of level 6');
});
