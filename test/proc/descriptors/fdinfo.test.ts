import test from 'ava';
import {
  infoField,
  parseEpollLines,
  parseFdInfo,
  parseLockLines,
} from '../../../src/proc/descriptors/fdinfo.js';

test('offset, flags and close-on-exec', (t) => {
  const info = parseFdInfo('pos:\t42\nflags:\t02102001\nmnt_id:\t17\nino:\t5\n');
  t.is(info.offset, 42n);
  t.is(info.flags, 0o102001);
  t.true(info.closeOnExec);
  t.is(infoField(info.text, 'ino'), '5');
  t.is(infoField(info.text, 'os'), null);
});

test('members of an epoll set, from new and old kernels', (t) => {
  const lines =
    'pos:\t0\nflags:\t02\ntfd:        3 events: 80000019 data: fffffff00000003  pos:0 ino:1f sdev:10\ntfd:    4 events:       19 data:   4\n';
  t.deepEqual(parseEpollLines(lines), [
    { fd: 3, events: 0x8000_0019, data: 0xfff_ffff_0000_0003n, inode: 0x1fn, device: 0x10n },
    { fd: 4, events: 0x19, data: 4n, inode: null, device: null },
  ]);
});

test('locks of all types', (t) => {
  const text = [
    'pos:\t0',
    'lock:\t1: POSIX  ADVISORY  WRITE 4242 08:01:1234 5 14',
    'lock:\t2: FLOCK  ADVISORY  READ 4242 08:01:1234 0 EOF',
    'lock:\t3: OFDLCK ADVISORY  READ -1 08:01:1234 100 EOF',
    'lock:\t4: LEASE  ACTIVE    READ 4242 08:01:1234 0 EOF',
    '',
  ].join('\n');
  t.deepEqual(parseLockLines(text), [
    { type: 'posix', write: true, first: 5n, last: 14n },
    { type: 'flock', write: false, first: 0n, last: null },
    { type: 'ofd', write: false, first: 100n, last: null },
    { type: 'lease', write: false, broken: false },
  ]);
});
