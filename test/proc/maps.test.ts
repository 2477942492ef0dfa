import test from 'ava';
import { parseMaps } from '../../src/proc/maps.js';
import { unescapePath } from '../../src/proc/read.js';

const SMAPS = `559a4f400000-559a4f421000 rw-p 00000000 00:00 0                          [heap]
Size:                132 kB
KernelPageSize:        4 kB
Rss:                   8 kB
Swap:                  4 kB
VmFlags: rd wr mr mw me ac sd 
7f0000000000-7f0000200000 r--s 00001000 fd:01 123 /srv/a b\\012c\\101 (deleted)
KernelPageSize:     2048 kB
Rss:                   0 kB
ProtectionKey:         3
VmFlags: rd mr me ms sd 
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

test('smaps becomes mappings', (t) => {
  const [heap, file, vsyscall] = parseMaps(SMAPS.split('\n'));
  t.like(heap, {
    start: 0x559a4f400000n,
    prot: 3,
    shared: false,
    path: '[heap]',
    resident: 12288,
    pageSize: 4096,
  });
  t.deepEqual(heap!.flags, ['rd', 'wr', 'mr', 'mw', 'me', 'ac', 'sd']);
  t.like(file, {
    offset: 0x1000n,
    device: 'fd:01',
    inode: 123n,
    shared: true,
    prot: 1,
    pageSize: 2 << 20,
    protectionKey: 3,
  });
  t.is(heap!.protectionKey, 0);
  t.is(file!.path, '/srv/a b\nc\\101 (deleted)');
  t.is(vsyscall!.prot, 4);
});

test('only a newline ends a line: of a path, all else is kept', (t) => {
  const path = '/a\rb\u2028c\udcff';
  const [file] = parseMaps([`7f0000000000-7f0000001000 r--p 00000000 fd:01 123    ${path}`]);
  t.is(file!.path, path);
});

test('an empty file has no mappings', (t) => {
  t.deepEqual([...parseMaps([])], []);
});

test('octal escapes are undone, other backslashes stay', (t) => {
  t.is(unescapePath('/a\\040b\\134\\'), '/a b\\\\');
  t.is(unescapePath('/\\303\\244'), '/ä');
});
