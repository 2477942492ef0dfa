import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import type { Arena } from '../../src/thaw/arena.js';
import { Flag, type Op } from '../../src/thaw/program.js';
import { buildImage, scratchPath } from './support/image.js';
import { call, dump, exit, main, say } from './support/ops.js';
import { nameOf, run } from './support/run.js';

const simple = (make: (arena: Arena) => Op[], flags = 0): string =>
  buildImage((arena) => ({ programs: [main(...make(arena))], flags }));

test('operations run one after the other, until one exits', (t) => {
  const image = simple((arena) => [say(arena, 'one '), say(arena, 'two\n'), exit(7), say(arena, 'three')]);
  const { status, stdout, stderr } = run(image);
  t.is(status, 7);
  t.is(stdout.toString(), 'one two\n');
  t.is(stderr, '');
});

test('a failure names the step and the errno, and ends with 125', (t) => {
  const image = simple((arena) => [
    call('openat', [-100, arena.string('/nowhere'), 0, 0], {
      label: 'cannot reopen /nowhere (descriptor 3)',
    }),
    say(arena, 'not reached'),
  ]);
  const { status, stdout, stderr } = run(image);
  t.is(status, 125);
  t.is(stdout.length, 0);
  t.is(stderr, `${nameOf(image)}: cannot reopen /nowhere (descriptor 3): ENOENT\n`);
});

test('a failure without a label names the operation', (t) => {
  const image = simple(() => [call('close', [77])]);
  t.is(run(image).stderr, `${nameOf(image)}: close(77): EBADF\n`);
});

test('a result that is not the expected one gives the reason', (t) => {
  const image = simple(() => [
    call('getpid', [], {
      check: { kind: 'equal', expected: -5 },
      label: 'cannot be minus five',
      reason: 'process ids are positive',
    }),
  ]);
  t.is(run(image).stderr, `${nameOf(image)}: cannot be minus five: process ids are positive\n`);
});

test('at least: a smaller result fails, a larger one does not', (t) => {
  const atLeast = (expected: number): string =>
    simple((arena) => [
      call('lseek', [0, 0, 1], { check: { kind: 'none' } }),
      call('write', [1, arena.string('abc'), 3], { check: { kind: 'atleast', expected }, label: 'short' }),
    ]);
  t.is(run(atLeast(3)).status, 0);
  t.is(run(atLeast(4)).status, 125);
});

test('tolerated errors go on, at the mark where there is one', (t) => {
  const image = simple((arena) => [
    call('close', [77], { check: { kind: 'ok', tolerated: ['EINTR', 'EBADF'] } }),
    say(arena, 'on '),
    call('close', [78], { check: { kind: 'ok', tolerated: ['EBADF'], jump: 'there' } }),
    say(arena, 'skipped '),
    { op: 'mark', name: 'there' },
    call('close', [79], { check: { kind: 'ok', jump: 'end' } }),
    say(arena, 'skipped '),
    { op: 'mark', name: 'end' },
    call('getpid', [], { check: { kind: 'equal', expected: 0, jump: 'last' } }),
    say(arena, 'skipped '),
    { op: 'mark', name: 'last' },
    say(arena, 'end\n'),
  ]);
  t.is(run(image).stdout.toString(), 'on end\n');
});

test('an error that is not tolerated fails', (t) => {
  t.is(run(simple(() => [call('close', [77], { check: { kind: 'ok', tolerated: ['EINTR'] } })])).status, 125);
});

test('jump goes to its mark', (t) => {
  const image = simple((arena) => [
    { op: 'jump', to: 'end' },
    say(arena, 'skipped'),
    { op: 'mark', name: 'end' },
    say(arena, 'end\n'),
  ]);
  t.is(run(image).stdout.toString(), 'end\n');
});

test('results are stored, and taken as operands', (t) => {
  const image = simple((arena) => {
    const fd = arena.cell();
    const pid = arena.cell();
    return [
      call('openat', [-100, arena.string('/dev/null'), 1, 0], { result: fd }),
      call('dup3', [1, 55, 0]),
      call('getpid', [], { result: pid }),
      call('write', [55, pid.cell, 8], { check: { kind: 'equal', expected: 8 } }),
      call('write', [fd, pid.cell, 8], { check: { kind: 'equal', expected: 8 } }),
      call('close', [fd]),
      call('write', [fd, pid.cell, 8], { check: { kind: 'ok', tolerated: ['EBADF'] }, result: pid }),
      dump(pid.cell, 8),
    ];
  });
  const { stdout } = run(image);
  t.true(stdout.readBigInt64LE(0) > 1n);
  t.is(stdout.readBigInt64LE(8), -9n);
});

test('store, test and compare work on memory of every width', (t) => {
  const image = simple((arena) => {
    const at = arena.bytes(Buffer.alloc(8, 0xff));
    const same = arena.bytes(Buffer.from('0123456789'));
    const other = arena.bytes(Buffer.from('0123456788'));
    const value = arena.cell();
    const stores = ([1, 2, 4, 8] as const).flatMap((width): Op[] => [
      { op: 'store', address: at, width, value: 0n },
      dump(at, 8),
    ]);
    return [
      ...stores,
      { op: 'test', address: same, width: 1, mask: 0xf0n, check: { kind: 'equal', expected: 0x30 } },
      { op: 'test', address: same, width: 2, mask: 0xffffn, check: { kind: 'equal', expected: 0x3130 } },
      {
        op: 'test',
        address: same,
        width: 4,
        mask: 0xffff0000n,
        check: { kind: 'equal', expected: 0x33320000 },
      },
      { op: 'test', address: same, width: 8, mask: -1n, check: { kind: 'none' }, result: value },
      dump(value.cell, 8),
      { op: 'compare', left: same, right: same, size: 10 },
      { op: 'compare', left: same, right: other, size: 9 },
      { op: 'compare', left: same, right: other, size: 10, label: 'differs', reason: 'another byte' },
    ];
  });
  const { stdout, stderr } = run(image);
  t.is(stdout.toString('latin1', 32), '01234567');
  const zeros = [1, 2, 4, 8];
  zeros.forEach((width, i) => {
    const expected = Buffer.concat([Buffer.alloc(width), Buffer.alloc(8 - width, 0xff)]);
    t.deepEqual(stdout.subarray(i * 8, i * 8 + 8), expected);
  });
  t.is(stderr, `${nameOf(image)}: differs: another byte\n`);
});

test('a loaded value that looks like an errno is no failure', (t) => {
  const image = simple((arena) => [
    { op: 'test', address: arena.bytes(Buffer.alloc(8, 0xff)), width: 8, mask: -1n },
  ]);
  t.is(run(image).status, 0);
});

test('flags select operations', (t) => {
  const image = simple(
    (arena) => [
      say(arena, 'a', { when: Flag.LAZY }),
      say(arena, 'b', { when: Flag.LAZY | Flag.PID_NEW }),
      say(arena, 'c', { unless: Flag.LAZY }),
      say(arena, 'd', { unless: Flag.PID_NEW | Flag.PID_SAME }),
      say(arena, '\n'),
    ],
    Flag.LAZY,
  );
  t.is(run(image).stdout.toString(), 'ad\n');
});

function reader(file: string, size: number | bigint, offset: bigint): string {
  return simple((arena) => {
    const fd = arena.cell();
    const at = 0x7000_0000n;
    return [
      call('openat', [-100, arena.string(file), 0, 0], { result: fd }),
      call('mmap', [at, size, 3, 0x4032, -1, 0], { check: { kind: 'equal', expected: at } }),
      { op: 'read', fd, address: at, size, offset, label: 'cannot read the memory' },
      dump(at + BigInt(size) - 4n, 4),
    ];
  });
}

test('read takes what is there, from the offset on', (t) => {
  const file = scratchPath('content');
  writeFileSync(file, '0123456789');
  t.is(run(reader(file, 7, 2n)).stdout.toString(), '5678');
});

test('read goes on where one system call ends early', (t) => {
  // Reads of /proc return what fits the kernel's buffer.
  const file = '/proc/kallsyms';
  const content = readFileSync(file);
  const { stdout, stderr } = run(reader(file, 200_000, 100n));
  t.is(stderr, '');
  t.deepEqual(stdout, content.subarray(200_096, 200_100));
});

test('a short file is said to be truncated', (t) => {
  const file = scratchPath('short');
  writeFileSync(file, '0123456789');
  const image = reader(file, 9, 2n);
  const { status, stderr } = run(image);
  t.is(status, 125);
  t.is(stderr, `${nameOf(image)}: cannot read the memory: the image is truncated\n`);
});

test('under --check failures are printed and counted', (t) => {
  const image = buildImage((arena) => ({
    programs: [
      main(
        call('close', [77], { label: 'first' }),
        call('close', [78], { label: 'second' }),
        exit(125, { when: Flag.CHECK | Flag.FAILED }),
        say(arena, 'fine\n'),
      ),
    ],
    options: [{ name: '--check', set: Flag.CHECK }],
  }));
  const { status, stderr, stdout } = run(image, ['--check']);
  const name = nameOf(image);
  t.is(status, 125);
  t.is(stderr, `${name}: first: EBADF\n${name}: second: EBADF\n`);
  t.is(stdout.length, 0);
});

test('--verbose prints each operation with its result', (t) => {
  const image = buildImage((arena) => ({
    programs: [
      main(
        call('close', [77], { check: { kind: 'none' } }),
        call('umask', [0], { text: 'umask(0)', when: Flag.LAZY }),
        call('mmap', [0x7000_0000n, 4096, 3, 0x32, -1, 0], { text: 'mmap(...)' }),
        say(arena, 'x', { text: 'write(1, "x", 1)' }),
      ),
    ],
    options: [{ name: '--verbose', set: Flag.VERBOSE }],
  }));
  t.is(
    run(image, ['--verbose']).stderr,
    'close(77) = -1 EBADF\nmmap(...) = 0x70000000\nwrite(1, "x", 1) = 1\n',
  );
  t.is(run(image).stderr, '');
});

const optioned = (): string =>
  buildImage((arena) => ({
    programs: [
      { name: 'main', ops: [say(arena, 'main'), say(arena, ' lazy', { when: Flag.LAZY }), exit(0)] },
      { name: 'help', ops: [say(arena, 'help'), say(arena, ' lazy', { when: Flag.LAZY }), exit(0)] },
      { name: 'usage', ops: [say(arena, 'usage'), exit(2)] },
    ],
    options: [
      { name: '--lazy', set: Flag.LAZY },
      { name: '--eager', clear: Flag.LAZY },
      { name: '--help', program: 1 },
    ],
    usageProgram: 2,
  }));

test('options set and clear flags and choose programs', (t) => {
  const image = optioned();
  t.is(run(image).stdout.toString(), 'main');
  t.is(run(image, ['--lazy']).stdout.toString(), 'main lazy');
  t.is(run(image, ['--lazy', '--eager']).stdout.toString(), 'main');
  t.is(run(image, ['--help', '--lazy']).stdout.toString(), 'help lazy');
});

test('an argument that is no option runs the usage program', (t) => {
  const image = optioned();
  for (const argument of ['--laz', '--lazyy', 'x', '']) {
    const { status, stdout, stderr } = run(image, [argument]);
    t.is(status, 2);
    t.is(stdout.toString(), 'usage');
    t.is(stderr, `${nameOf(image)}: unknown argument ${argument}\n`);
  }
});

test('an empty argument vector and a long name do no harm', (t) => {
  const image = simple(() => [call('close', [77], { label: 'no' })]);
  const named = (argv0: string): string => spawnSync(image, { argv0 }).stderr.toString();
  t.is(named('/a/b/c'), 'c: no: EBADF\n');
  t.is(named('dir/'), 'dir/: no: EBADF\n');
  t.is(named('n'.repeat(300)), `${'n'.repeat(63)}: no: EBADF\n`);
});

test('messages go to the descriptor that a cell names', (t) => {
  const file = scratchPath('log');
  const image = buildImage((arena) => {
    const messages = arena.cell(2n);
    return {
      programs: [
        main(
          call('openat', [-100, arena.string(file), 0o101, 0o600], { result: arena.cell() }),
          call('dup3', [2, 60, 0], { result: messages }),
          call('close', [2]),
          call('close', [77], { label: 'no' }),
        ),
      ],
      messages,
    };
  });
  t.is(run(image).stderr, `${nameOf(image)}: no: EBADF\n`);
});

test('the image is opened by the name it was started by', (t) => {
  const image = simple((arena) => {
    const fd = arena.cell();
    const at = arena.reserve(4);
    return [
      { op: 'builtin', name: 'open_execfn', args: [0], result: fd },
      { op: 'read', fd, address: at, size: 4, offset: 0n },
      dump(at, 4),
    ];
  });
  t.is(run(image).stdout.toString('latin1'), '\x7fELF');
});

test('notes are printed with the name', (t) => {
  const image = simple((arena) => [{ op: 'builtin', name: 'note', args: [arena.string('by the way')] }]);
  t.is(run(image).stderr, `${nameOf(image)}: by the way\n`);
});

test('the folder of a thread is found by its own id', (t) => {
  const made = (link: string, size: number): string => {
    const image = simple((arena) => {
      const at = arena.bytes(Buffer.from(`${link}\0`));
      const folder = arena.cell();
      const fd = arena.cell();
      const output = arena.reserve(16);
      return [
        { op: 'builtin', name: 'own_folder', args: [at], result: folder, label: 'no folder' },
        // Read as a file would be: a path that is not there says nothing.
        call('memfd_create', [arena.string('text'), 0], { result: fd }),
        call('write', [fd, folder, size]),
        { op: 'read', fd, address: output, size, offset: 0n },
        dump(output, size),
      ];
    });
    const { stdout, stderr } = run(image);
    return stdout.toString('latin1') || stderr.replace(/^[^:]+: /, '');
  };
  t.is(made('4242/task/4243', 11), '/proc/4243\0');
  t.is(made('4/task/12345678', 15), '/proc/12345678\0');
  t.is(made('4242', 1), 'no folder: EINVAL\n');
});

test('all signals are blocked, and SIGTERM waits', (t) => {
  const image = simple((arena) => {
    const mask = arena.cell();
    const pid = arena.cell();
    return [
      call('rt_sigprocmask', [0, 0, mask.cell, 8]),
      dump(mask.cell, 8),
      call('getpid', [], { result: pid }),
      call('kill', [pid, 15]),
      say(arena, 'alive'),
    ];
  });
  const { stdout, status } = run(image);
  t.is(stdout.readBigUInt64LE(), 0xffff_ffff_fffb_feffn); // all but SIGKILL and SIGSTOP
  t.is(stdout.toString('latin1', 8), 'alive');
  t.is(status, 0);
});
