import test from 'ava';
import { ImageError } from '../../src/errors.js';
import { Arena } from '../../src/thaw/arena.js';
import { assemble, OP_SIZE } from '../../src/thaw/assembler.js';
import { disassemble } from '../../src/thaw/disassembler.js';
import { Flag, type ImageOption, type Program } from '../../src/thaw/program.js';
import { showSyscall } from '../../src/thaw/signatures.js';

const BASE = 0x10000n;
const OPTIONS: ImageOption[] = [
  { name: '--check', set: Flag.CHECK },
  { name: '--pid=new', set: Flag.PID_NEW, clear: Flag.PID_SAME },
  { name: '--help', program: 1 },
];

function programs(arena: Arena): Program[] {
  const fd = arena.cell();
  return [
    {
      name: 'main',
      ops: [
        {
          op: 'syscall',
          name: 'openat',
          args: [-100, arena.string('/srv/log'), 0o2001, 0],
          result: fd,
          label: 'cannot reopen /srv/log (descriptor 3)',
          check: { kind: 'ok', tolerated: ['ENOENT', 'EACCES'], jump: 'end' },
        },
        {
          op: 'syscall',
          name: 'mmap',
          args: [0x7000_0000n, 8192, 3, 0x32, fd, 0x1000],
          check: { kind: 'equal', expected: 0x7000_0000n },
          when: Flag.LAZY,
          unless: Flag.CHECK | Flag.NEW_IDS,
        },
        { op: 'read', fd: 100, address: 0x7000_0000n, size: 8192, offset: 4096n },
        { op: 'test', address: 0x7000_0000n, width: 4, mask: 0xffn, check: { kind: 'equal', expected: 7 } },
        { op: 'compare', left: 0x1000n, right: fd, size: 16 },
        { op: 'store', address: 0x1000n, width: 2, value: 9n },
        { op: 'builtin', name: 'become', args: [4242, 0x3000n] },
        { op: 'builtin', name: 'note', args: [arena.string('a "note"')] },
        { op: 'spawn', program: 2, tid: 4243, stackTop: 0x9000n },
        { op: 'barrier', address: 0x2000n, parties: 2 },
        { op: 'mark', name: 'end' },
        { op: 'syscall', name: 'close', args: [fd], check: { kind: 'none' } },
        { op: 'jump', to: 'end' },
      ],
    },
    { name: 'help', ops: [{ op: 'exit', status: 0 }] },
    { name: 'thread 4243', ops: [{ op: 'builtin', name: 'resume', args: [0x4000n, 0x5000n] }] },
  ];
}

function make(): { bytes: Buffer; header: bigint; cell: string } {
  const arena = new Arena(BASE);
  const list = programs(arena);
  const header = assemble(arena, list, OPTIONS, { flags: Flag.LAZY, usageProgram: 1, stackTop: 0x8000n });
  return { bytes: Buffer.from(arena.toBytes()), header, cell: `[0x${BASE.toString(16)}]` };
}

test('a listing shows what each operation does', (t) => {
  const { bytes, header, cell } = make();
  t.deepEqual(
    [...disassemble(bytes, BASE, header)],
    [
      'flags at the start: lazy',
      'option --check: sets check',
      'option --pid=new: sets pid_new, clears pid_same',
      'option --help: runs program 1',
      '',
      'program 0: main (12 operations)',
      `     0  openat(AT_FDCWD, "/srv/log", O_WRONLY|O_APPEND, 0)  -> ${cell}  on ENOENT|EACCES => 10  # cannot reopen /srv/log (descriptor 3)`,
      `     1  mmap(0x70000000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, ${cell}, 0x1000)  when lazy  unless check+new_ids  must be 0x70000000`,
      '     2  pread64(100, 0x70000000, 8192, 4096)  must be 8192',
      '     3  *(u32 *)0x70000000 & 0xff  must be 7',
      `     4  memcmp(0x1000, ${cell}, 16)  must be 0`,
      '     5  *(u16 *)0x1000 = 0x9',
      '     6  become(4242, 0x3000)',
      '     7  note("a \\"note\\"")',
      '     8  clone3({set_tid=4243, stack_top=0x9000}) running program 2 (thread 4243)',
      '     9  barrier(0x2000, 2 threads)',
      `    10  close(${cell})  any result`,
      '    11  goto 10',
      '',
      'program 1: help (1 operations, run on an unknown argument)',
      '     0  exit_group(0)',
      '',
      'program 2: thread 4243 (1 operations)',
      '     0  resume(0x4000, 0x5000)',
    ],
  );
});

function list(bytes: Uint8Array, header: bigint): string[] {
  return [...disassemble(bytes, BASE, header)];
}

test('system calls are shown as strace shows them', (t) => {
  const shown = (number: number, ...args: bigint[]): string =>
    showSyscall(number, [...args, 0n, 0n, 0n, 0n, 0n, 0n].slice(0, 6), 0b10, () => null);
  t.is(shown(436, 3n, 0x40n, 0n), 'close_range(3, [0x40], 0x0)');
  t.is(
    showSyscall(436, [3n, 0xffff_ffffn, 0n], 0, () => null),
    'close_range(3, ~0U, 0x0)',
  );
  t.is(
    showSyscall(292, [3n, 100n, 0o2000000n], 0, () => null),
    'dup3(3, 100, O_CLOEXEC)',
  );
  t.is(
    showSyscall(72, [3n, 4n, 0n], 0, () => null),
    'fcntl(3, F_SETFL, 0x0)',
  );
  t.is(
    showSyscall(257, [3n, 0x99n, 0n, 0n], 0, () => null),
    'openat(3, 0x99, O_RDONLY, 0)',
  );
  t.is(
    showSyscall(9999, [1n], 0, () => null),
    'syscall_9999(0x1)',
  );
});

test('a segment that ends early is refused, wherever it ends', (t) => {
  const { bytes, header } = make();
  for (let size = 0; size < bytes.length; size++) {
    t.throws(() => list(bytes.subarray(0, size), header), { instanceOf: ImageError });
  }
});

test('a header elsewhere is refused', (t) => {
  const { bytes, header } = make();
  for (const wrong of [0n, header + 1n, header - BASE, BASE + BigInt(bytes.length), -8n, 2n ** 64n - 8n]) {
    t.throws(() => list(bytes, wrong), { instanceOf: ImageError });
  }
});

test('programs that overlap, to be endless, are refused', (t) => {
  const { bytes, header } = make();
  const at = Number(header - BASE);
  const table = Number(bytes.readBigUInt64LE(at + 16) - BASE);
  bytes.writeUInt32LE(Math.floor(bytes.length / OP_SIZE), table + 8);
  t.throws(() => list(bytes, header), { instanceOf: ImageError });
  bytes.writeUInt32LE(0xffff_ffff, at + 24);
  t.throws(() => list(bytes, header), { instanceOf: ImageError });
});

test('damage gives a listing or an ImageError, nothing else', (t) => {
  const { bytes, header } = make();
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const damaged = Buffer.from(bytes);
    for (let i = random(3); i >= 0; i--) damaged[random(damaged.length)] = random(256);
    try {
      list(damaged, header);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      refused++;
    }
  }
  t.true(refused > 1000);
});
