import test from 'ava';
import type { DescriptorTable, OpenFile, OpenFileOf } from '../../../src/snapshot/descriptors.js';
import type { MemoryObject } from '../../../src/snapshot/schema.js';
import { Flag, type Op } from '../../../src/thaw/program.js';
import { plan } from './support.js';

const log: OpenFileOf<'file'> = {
  ...{ kind: 'file', type: 'regular', path: '/srv/log', flags: 0o102001, locks: [] },
  ...{ offset: 20n, size: 20n, modified: null, device: null },
};

function tableOf(
  files: OpenFile[],
  descriptors: [fd: number, file: number][],
  pipes: DescriptorTable['pipes'] = [],
): DescriptorTable {
  return {
    files,
    descriptors: descriptors.map(([fd, file]) => ({ fd, file, closeOnExec: false })),
    folders: [],
    pipes,
    terminal: null,
    hold: null,
  };
}

/** What strace would print of a run without --check, from the first descriptor on that is made. */
function listing(table: DescriptorTable): string[] {
  return plan({ table, objects: [] })
    .ops.filter((op): op is Exclude<Op, { op: 'mark' }> => op.op !== 'mark' && (op.unless ?? 0) !== 0)
    .map((op) => op.text ?? op.op)
    .slice(2);
}

test('a file is opened where it belongs, checked, positioned and duplicated', (t) => {
  t.deepEqual(
    listing(
      tableOf(
        [log],
        [
          [3, 0],
          [5, 0],
        ],
      ),
    ),
    [
      'openat(AT_FDCWD, "/srv/log", O_WRONLY|O_APPEND|O_NONBLOCK|O_NOCTTY)',
      'statx(3, "", AT_EMPTY_PATH, STATX_BASIC_STATS)',
      'test statx.stx_mode & S_IFMT == 0100000',
      'test statx.stx_size >= 20',
      'lseek(3, 20, SEEK_SET)',
      'fcntl(3, F_SETFL, O_APPEND)',
      'dup3(3, 5, 0)',
      'close_range(4, 4, 0)',
      'close_range(6, 99, 0)',
      'close_range(104, ~0U, 0)',
      'close(0)',
      'close(1)',
      'close(2)',
    ],
  );
});

test('messages name path and descriptor', (t) => {
  const { ops } = plan({ table: tableOf([log], [[3, 0]]), objects: [] });
  const opened = ops.find(
    (op) => op.op === 'syscall' && op.name === 'openat' && op.text?.includes('/srv/log'),
  );
  t.like(opened, { label: 'cannot reopen /srv/log (descriptor 3, file)' });
  const test_ = ops.find((op) => op.op === 'test' && op.check?.kind === 'atleast');
  t.like(test_, { reason: 'the file is shorter than the offset 20' });
});

test('memory in huge pages is filled by a mapping, and no file of --scratch', (t) => {
  const cache: MemoryObject = {
    ...{ kind: 'embedded-file', name: '/pages/cache', device: '00:1', inode: 7n, mode: 0o777, seals: 0 },
    ...{ size: 2 << 30, pageSize: 1 << 30 },
    extents: [{ start: 1n << 30n, size: 1 << 30, offset: 4096 }],
  };
  const file: OpenFile = { kind: 'object', object: 0, flags: 2, offset: 0n, locks: [] };
  const { ops } = plan({ table: tableOf([file], [[3, 0]]), objects: [cache] });
  const made = ops.filter(
    (op) => op.op !== 'mark' && /^(memfd_create|mmap|pread64|sendfile)/.test(op.text ?? ''),
  );
  t.deepEqual(
    made.map((op) => op.op !== 'mark' && op.text?.replace(/\[0x[0-9a-f]+\]/, 'VIEW')),
    [
      'memfd_create("/pages/cache", MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_HUGETLB|0x78000000)',
      'mmap(NULL, 1073741824, PROT_READ|PROT_WRITE, MAP_SHARED, 104, 1073741824)',
      'pread64(100, VIEW, 1073741824, 4096)',
    ],
  );
  t.like(made[1], {
    label:
      'cannot make memory for the file /pages/cache: no 1 huge page of 1048576 kB (see /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages)',
  });
  t.is(made[0]?.op === 'syscall' ? (made[0].unless ?? 0) & Flag.SCRATCH : null, 0);
});

test('0, 1 and 2 are placed last, from temporary numbers', (t) => {
  const ops = listing(tableOf([{ ...log, offset: 0n }], [[1, 0]]));
  t.regex(ops[0]!, /openat.*O_CLOEXEC/);
  t.regex(ops[1]!, /^dup3\(\[0x[0-9a-f]+\], 102, O_CLOEXEC\)$/);
  t.true(ops.indexOf('dup3(102, 1, 0)') > ops.indexOf('close_range(3, 99, 0)'));
  t.true(ops.indexOf('close(102)') > ops.indexOf('dup3(102, 1, 0)'));
});

test('own streams are left alone', (t) => {
  const stream = (n: number): OpenFile => ({
    ...{ kind: 'stream', stream: n, was: 'pipe:[1]', reopen: 'shared', flags: 1, locks: [] },
  });
  const ops = listing(
    tableOf(
      [stream(0), stream(1), stream(2)],
      [
        [0, 0],
        [1, 1],
        [2, 2],
        [9, 2],
      ],
    ),
  );
  t.deepEqual(ops, [
    'dup3(2, 9, 0)',
    'close_range(3, 8, 0)',
    'close_range(10, 99, 0)',
    'close_range(104, ~0U, 0)',
  ]);
});

test('nothing that makes or changes something runs under --check', (t) => {
  const pipe: OpenFile = { kind: 'pipe', pipe: 0, end: 'both', flags: 2, locks: [] };
  const table = tableOf(
    [log, pipe],
    [
      [3, 0],
      [4, 1],
    ],
    [{ capacity: 65536, content: [Buffer.from('x')], path: '/srv/fifo' }],
  );
  const names = plan({ table, objects: [] }).ops.flatMap((op) =>
    op.op === 'syscall' && !op.unless ? [op.name] : [],
  );
  t.deepEqual([...new Set(names)].sort(), ['close', 'fcntl', 'lseek', 'openat', 'statx']);
});
