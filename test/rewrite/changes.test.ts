import test from 'ava';
import { UsageError } from '../../src/errors.js';
import { O } from '../../src/fcntl.js';
import { parseChoices } from '../../src/proc/descriptors/choices.js';
import { parseFileChoices } from '../../src/proc/file-choices.js';
import { parseEnvironment, parsePaths } from '../../src/rewrite/changes.js';
import { rewriteDescriptors } from '../../src/rewrite/descriptors.js';
import { warnOfOutput } from '../../src/rewrite/embed.js';
import { rewritePaths as move } from '../../src/rewrite/paths.js';
import { reopenFiles } from '../../src/rewrite/reopen.js';
import type { OpenFile, OpenFileOf } from '../../src/snapshot/descriptors.js';
import type { Process } from '../../src/snapshot/schema.js';
import { makeProcess } from '../snapshot/fixture.js';

const rewritePaths = (...args: Parameters<typeof move>): Process => move(...args).process;

const NONE = {
  descriptors: parseChoices([], []),
  files: parseFileChoices('keep' as const, []),
  paths: new Map<string, string>(),
  environment: new Map<string, string>(),
};
const file = (path: string): OpenFile => ({
  ...{ kind: 'file', type: 'regular', flags: 2, locks: [], path },
  ...{ offset: 7n, size: 9n, modified: 1n, device: null },
});

function processWith(files: OpenFile[], descriptors: [fd: number, file: number][]): Process {
  return {
    ...makeProcess(),
    workingDirectory: '/data/a/job',
    mappedFiles: [{ path: '/data/a/map', writable: true, size: 1 }],
    objects: [],
    descriptors: {
      files,
      descriptors: descriptors.map(([fd, index]) => ({ fd, file: index, closeOnExec: false })),
      folders: [],
      pipes: [{ capacity: 4096, content: [], path: '/data/a/fifo' }],
      terminal: null,
      hold: null,
    },
  };
}

const pathsOf = ({ descriptors, mappedFiles, workingDirectory }: Process) => [
  ...descriptors.files.flatMap((one) => (one.kind === 'file' ? [one.path] : [])),
  ...descriptors.pipes.map(({ path }) => path),
  ...mappedFiles.map(({ path }) => path),
  workingDirectory,
];

test('what tells of a descriptor goes with that', (t) => {
  const info = { ...file('/proc/self/fdinfo/3'), late: { thread: null } } as OpenFile;
  const process = processWith(
    [file('/a'), info],
    [
      [3, 0],
      [4, 1],
    ],
  );
  const kept = (drop: number[], fd: string[] = []) =>
    rewriteDescriptors(process, parseChoices(drop, fd), []).descriptors.map((one) => one.fd);
  t.throws(() => kept([3]), {
    instanceOf: UsageError,
    message: /^--drop-fd 3: descriptor 4 .* --drop-fd 4 as/,
  });
  t.deepEqual(kept([4]), [3]);
  t.deepEqual(kept([3, 4]), []);
  t.deepEqual(kept([3], ['4=null']), [4]);
});

test('beginnings of paths, everywhere; the longest counts', (t) => {
  const process = processWith([file('/data/a'), file('/data/ab'), file('/data/a/job/x')], [[3, 0]]);
  const paths = parsePaths(['/data/a=/b', '/data/a/job=c'], '/srv');
  t.deepEqual(pathsOf(rewritePaths(process, { ...NONE, paths })), [
    '/b',
    '/data/ab',
    '/srv/c/x',
    '/b/fifo',
    '/b/map',
    '/srv/c',
  ]);
  const root = parsePaths(['/=/mnt']);
  t.is(rewritePaths(process, { ...NONE, paths: root }).workingDirectory, '/mnt/data/a/job');
  const back = parsePaths(['/data=/']);
  t.is(rewritePaths(process, { ...NONE, paths: back }).workingDirectory, '/a/job');
  t.is(rewritePaths(process, { ...NONE, paths, cwd: '/else' }).workingDirectory, '/else');
});

test('one file found elsewhere is taken as it is', (t) => {
  const process = processWith([file('/data/a/x'), file('/data/a/x'), file('/y')], [[3, 0]]);
  const changed = rewritePaths(process, {
    ...NONE,
    files: parseFileChoices('keep', ['/data/a/x=/z', '/data/a/map=/m']),
  });
  t.deepEqual(pathsOf(changed).slice(0, 5), ['/z', '/z', '/y', '/data/a/fifo', '/m']);
  t.like(changed.descriptors.files[0], { type: 'chosen', modified: null, offset: 7n });
  t.like(changed.descriptors.files[2], { type: 'regular', modified: 1n });
});

test('which files are to be embedded: those that are named, or all regular ones', (t) => {
  const folder: OpenFile = { ...file('/d'), type: 'directory' } as OpenFile;
  const process = processWith([file('/data/a/x'), file('/y'), folder], [[3, 0]]);
  const embedded = (all: 'keep' | 'embed', values: string[]) =>
    [...move(process, { ...NONE, files: parseFileChoices(all, values), paths }).embed].sort();
  const paths = parsePaths(['/data=/srv']);
  t.deepEqual(embedded('keep', ['/data/a/x=embed']), [['/srv/a/x', 'this']]);
  t.deepEqual(embedded('embed', ['/y=reopen', '/data/a/map=embed']), [
    ['/srv/a/map', 'this'],
    ['/srv/a/x', 'any'],
  ]);
  t.throws(() => embedded('keep', ['/d=embed']), { instanceOf: UsageError, message: /regular file/ });
});

test('an embedded file is opened again; other objects keep their meaning', (t) => {
  const object = (kind: 'memfd' | 'embedded-file', name: string) => ({
    ...{ kind, name, device: '00:01', inode: 1n, size: 10, mode: 0o600, seals: 0, extents: [] },
    pageSize: 4096 as const,
  });
  const opened = (index: number): OpenFile => ({
    kind: 'object',
    flags: 2,
    locks: [],
    object: index,
    offset: 4n,
  });
  const region = (index: number) => ({
    ...makeProcess().regions[0]!,
    ...{ start: 0x1000n, end: 0x3000n, offset: 0n, shared: true, extents: [] },
    backing: { kind: 'object', object: index } as const,
  });
  const process: Process = {
    ...processWith([opened(0), opened(1)], [[3, 0]]),
    objects: [object('embedded-file', '/x'), object('memfd', '/x')],
    regions: [region(0), region(1)],
  };
  const again = reopenFiles(process, parseFileChoices('keep', ['/x=reopen']));
  t.deepEqual(again.objects, [process.objects[1]!]);
  t.like(again.descriptors.files[0], { kind: 'file', path: '/x', offset: 4n, size: 10n, modified: null });
  t.like(again.descriptors.files[1], { kind: 'object', object: 0 });
  t.deepEqual(
    again.regions.map(({ backing }) => backing),
    [
      { kind: 'file', file: 1 },
      { kind: 'object', object: 0 },
    ],
  );
  t.like(again.mappedFiles[1], { path: '/x', size: 10 });
  t.deepEqual(reopenFiles(process, parseFileChoices('keep', [])), process);
});

test('what changes nothing, or contradicts itself is a usage error', (t) => {
  const process = processWith([file('/x')], [[3, 0]]);
  const usage = { instanceOf: UsageError };
  t.throws(() => rewritePaths(process, { ...NONE, files: parseFileChoices('keep', ['/y=/z']) }), usage);
  t.throws(() => rewritePaths(process, { ...NONE, paths: parsePaths(['/y=/z']) }), usage);
  for (const values of [['/x=/y', '/x=/z'], ['/x']]) t.throws(() => parseFileChoices('keep', values), usage);
  for (const values of [['/x=/y', '/x=/z'], ['/x'], ['=/x'], ['/x=']])
    t.throws(() => parsePaths(values), usage);
  for (const values of [['A=1', 'A=2'], ['A'], ['=1']]) t.throws(() => parseEnvironment(values), usage);
  t.throws(() => rewriteDescriptors(process, parseChoices([4], []), []), usage);
});

test('descriptors by number, and the epoll sets that watch them', (t) => {
  const member = (fd: number, index: number) => ({ fd, file: index, events: 1, data: 0n });
  const process = processWith(
    [
      file('/x'),
      {
        kind: 'epoll',
        flags: 2,
        locks: [],
        members: [member(3, 0), member(5, 2), member(9, 2), member(6, 3)],
      },
      { kind: 'eventfd', flags: 2, locks: [], count: 0n, semaphore: false },
      { kind: 'pipe', flags: 0, locks: [], pipe: 0, end: 'both' },
    ],
    [
      [0, 0],
      [3, 0],
      [4, 1],
      [5, 2],
      [6, 3],
      [7, 0],
      [8, 0],
    ],
  );
  const choices = parseChoices([6], ['0=inherit', '3=/new', '7=/new', '8=null'], '/', [5]);
  const warnings: string[] = [];
  const table = rewriteDescriptors(process, choices, warnings);
  const at = (fd: number) => table.descriptors.find((one) => one.fd === fd)?.file;
  t.like(table.files[at(0)!], { kind: 'stream', stream: 0, was: '/x' });
  t.like(table.files[at(3)!], { kind: 'file', type: 'chosen', path: '/new', offset: 7n, modified: null });
  t.is(at(7), at(3), 'what shared an open file goes on sharing it');
  t.like(table.files[at(8)!], { path: '/dev/null', locks: [] });
  t.like(table.files[at(5)!], { kind: 'external', was: 'eventfd' });
  t.is(at(6), undefined);
  const epoll = table.files[at(4)!];
  t.deepEqual(epoll?.kind === 'epoll' && epoll.members, [
    member(3, at(3)!),
    member(5, at(5)!),
    member(9, at(5)!),
  ]);
  t.is(table.pipes[0]?.path, '', 'the FIFO is not opened');
  for (const gone of [0, 2, 3]) t.like(table.files[gone], { kind: 'file', path: '/dev/null' });
  t.deepEqual(
    warnings.map((line) => /^descriptor 4 \(epoll set\): .* descriptor (\d+) /.exec(line)?.[1]).sort(),
    ['3', '5', '5'],
  );
});

test('a descriptor that is dropped stays in epoll sets by another that means the same', (t) => {
  const set = (...members: number[]): OpenFile => ({
    ...{ kind: 'epoll', flags: 2, locks: [] },
    members: members.map((fd) => ({ fd, file: 0, events: 1, data: 0n })),
  });
  const process = processWith(
    [{ kind: 'eventfd', flags: 2, locks: [], count: 0n, semaphore: false }, set(5, 9)],
    [
      [4, 1],
      [5, 0],
      [6, 0],
    ],
  );
  const membersIn = (drop: number[], replace: string[] = []) => {
    const table = rewriteDescriptors(process, parseChoices(drop, replace, '/'), []);
    const file = table.files[1];
    return file?.kind === 'epoll' ? file.members.map(({ fd, file: index }) => [fd, index]) : null;
  };
  const both = [
    [5, 0],
    [9, 0],
  ];
  t.deepEqual(membersIn([5]), both);
  t.deepEqual(membersIn([6]), both);
  t.deepEqual(membersIn([5, 6]), []);
  t.deepEqual(membersIn([], ['5=/x']), [
    [5, 2],
    [9, 0],
  ]);
});

test('signals, leases and locks go with a descriptor as at the freeze, or a warning says that they do not', (t) => {
  const lock = { type: 'flock', write: true, first: 0n, last: null } as const;
  const signals = { owner: { kind: 'process' }, signal: 0 } as const;
  const all: OpenFile = { ...file('/x'), locks: [lock], lease: 'write', signals };
  const process = processWith(
    [all, { ...file('/y'), locks: [lock] }],
    [
      [1, 0],
      [3, 0],
      [4, 0],
      [5, 0],
      [6, 1],
      [7, 0],
    ],
  );
  const warnings: string[] = [];
  const choices = parseChoices([7], ['1=inherit', '3=/new', '4=null'], '/', [5, 6]);
  const table = rewriteDescriptors(process, choices, warnings);
  const at = (fd: number) => table.files[table.descriptors.find((one) => one.fd === fd)!.file]!;
  t.deepEqual([at(1).signals, at(1).lease, at(1).locks], [signals, undefined, []]);
  t.deepEqual([at(3).signals, at(3).lease, at(3).locks], [undefined, 'write', [lock]]);
  for (const fd of [4, 5])
    t.deepEqual([at(fd).signals, at(fd).lease, at(fd).locks], [undefined, undefined, []]);
  t.deepEqual(warnings, [
    'the lease on /x (descriptor 1) is let go of',
    'that descriptor 3 sends signals (F_SETOWN, O_ASYNC) is let go of',
    'the lease on /x (descriptor 4) is let go of',
    'that descriptor 4 sends signals (F_SETOWN, O_ASYNC) is let go of',
    'the lease on /x (descriptor 5) is let go of',
    'that descriptor 5 sends signals (F_SETOWN, O_ASYNC) is let go of',
    'the lock on /y (descriptor 6) is let go of',
  ]);
});

const socket = (name: string | Uint8Array, peer: number | null): OpenFile => ({
  ...{ kind: 'unix', flags: 2, locks: [], type: 'stream', accepted: false, node: null, backlog: null, peer },
  ...{
    gone: null,
    shutdown: 0,
    content: [],
    passed: [],
    credentials: false,
    senders: [],
    sendBuffer: 1,
    receiveBuffer: 1,
    bufferLocks: null,
    peerCredentials: null,
    options: [],
    filter: null,
  },
  name: Buffer.from(name),
  folder: null,
});

test('Unix domain sockets: their names are paths, and their other ends may go', (t) => {
  const process = processWith(
    [socket('/data/a/s', 1), socket('\0/data/a/s', 0)],
    [
      [3, 0],
      [4, 1],
    ],
  );
  const paths = parsePaths(['/data/a=/b']);
  const { files } = rewritePaths(process, { ...NONE, paths }).descriptors;
  t.deepEqual(
    files.map((one) => one.kind === 'unix' && Buffer.from(one.name).toString()),
    ['/b/s', '\0/data/a/s'],
  );
  const move = (name: string | Uint8Array) =>
    rewritePaths(processWith([socket(name, null)], [[3, 0]]), {
      ...NONE,
      paths: parsePaths(['/data/a=/data/other']),
    });
  const [odd] = move(Buffer.from('/data/a/\xff', 'latin1')).descriptors.files;
  t.like(odd, { name: Buffer.from('/data/other/\xff', 'latin1') });
  t.throws(() => move(`/data/a/${'x'.repeat(99)}`), { instanceOf: UsageError });
  const relative = { ...socket('s', null), folder: '/data/a/b' } as OpenFile;
  const moved = rewritePaths(processWith([relative], [[3, 0]]), { ...NONE, paths });
  t.like(moved.descriptors.files[0], { name: Buffer.from('s'), folder: '/b/b' });
  const alone = rewriteDescriptors(process, parseChoices([4], []), []);
  t.like(alone.files[0], { peer: null, gone: { reset: false }, shutdown: 3 });
});

test('output into a file that is embedded is told, once, and input not', (t) => {
  const input: OpenFile = { ...file('/in'), flags: O.RDONLY } as OpenFile;
  const output: OpenFile = { ...file('/out'), flags: O.WRONLY } as OpenFile;
  const before = processWith(
    [input, output, output],
    [
      [2, 1],
      [0, 0],
      [1, 1],
      [3, 2],
    ],
  ).descriptors;
  const embedded = { kind: 'object', locks: [], object: 0, offset: 0n };
  const files = before.files.map(({ flags }) => ({ ...embedded, flags }) as unknown as OpenFile);
  const warnings: string[] = [];
  warnOfOutput(before, { ...before, files }, warnings);
  t.is(warnings.length, 1);
  t.regex(warnings[0]!, /^descriptor 1 \(file, \/out\) is embedded: .*; --fd 1=inherit /);
  warnOfOutput(before, before, warnings);
  t.is(warnings.length, 1);
});

test('what is on its way in a socket goes with it, and only with it', (t) => {
  const carrier = (files: number[]) => ({
    ...socket('', 1),
    ...{ content: [Buffer.from('x')], passed: [{ message: 0, files }] },
  });
  const watch: OpenFile = {
    ...{ kind: 'inotify', flags: O.ASYNC, locks: [], watches: [], events: [], next: null },
    signals: { owner: { kind: 'process' }, signal: 50 },
  };
  const set: OpenFile = {
    ...{ kind: 'epoll', flags: 2, locks: [] },
    members: [{ fd: 9, file: 4, events: 1, data: 0n }],
  };
  const process = processWith(
    // 0 and 1 are a pair, with the pair 2 and 3 on its way; in that a file, and what has a number as well.
    [
      carrier([2]),
      socket('', 0),
      { ...carrier([4, 5]), peer: 3 } as OpenFile,
      socket('', 2),
      file('/x'),
      watch,
      set,
    ],
    [
      [3, 0],
      [4, 1],
      [5, 3],
      [6, 5],
      [7, 6],
    ],
  );
  const kinds = (drop: number[]) =>
    rewriteDescriptors(process, parseChoices(drop, []), []).files.map((one) => one.kind);
  const all = ['unix', 'unix', 'unix', 'unix', 'file', 'inotify', 'epoll'];
  t.deepEqual(kinds([]), all);
  t.deepEqual(kinds([4]), ['unix', 'file', ...all.slice(2)]);
  const without = rewriteDescriptors(process, parseChoices([3], []), []);
  t.deepEqual(
    without.files.map((one) => (one.kind === 'file' ? one.path : one.kind)),
    ['/dev/null', 'unix', '/dev/null', 'unix', '/dev/null', 'inotify', 'epoll'],
  );
  t.like(without.files[3], { peer: null, gone: { reset: false } });
  t.like(without.files[6], { members: [] });
  t.throws(() => rewriteDescriptors(process, parseChoices([6], []), []), {
    instanceOf: UsageError,
    message: /^descriptor 6 is on its way in a socket as well, and must stay: its signals \(F_SETSIG\) bear/,
  });
  t.notThrows(() => rewriteDescriptors(process, parseChoices([3, 6], []), []));
});

test('an io_uring stays with its memory, and keeps of what is registered with it what descriptors mean', (t) => {
  const ring = {
    ...{ kind: 'uring', flags: 2, locks: [], ring: { views: [{}] } },
    slots: { files: [{ file: 1, tag: 1n }, null, { file: 2, tag: 2n }], first: 0, end: 3, next: 0 },
    eventfd: { file: 2, async: true },
  } as unknown as OpenFile;
  const eventfd = { kind: 'eventfd', flags: 2, locks: [], count: 0n, semaphore: false } as OpenFile;
  const process = processWith(
    [ring, file('/a'), eventfd],
    [
      [3, 0],
      [4, 1],
      [5, 2],
    ],
  );
  const kept = (drop: number[], fd: string[] = []) => {
    const warnings: string[] = [];
    const changed = rewriteDescriptors(process, parseChoices(drop, fd), warnings)
      .files[0] as OpenFileOf<'uring'>;
    const told = warnings.map((warning) =>
      /^descriptor (\d): .*(slot \d|completions)/.exec(warning)?.slice(1),
    );
    return [changed.slots!.files.map((slot) => slot?.file ?? null), changed.eventfd?.file ?? null, told];
  };
  t.deepEqual(kept([], ['4=/y']), [[3, null, 2], 2, []]);
  t.deepEqual(kept([4]), [[null, null, 2], 2, [['4', 'slot 0']]]);
  t.deepEqual(kept([5]), [
    [1, null, null],
    null,
    [
      ['5', 'completions'],
      ['5', 'slot 2'],
    ],
  ]);
  t.deepEqual(kept([], ['5=/x']), [[1, null, 3], null, [['5', 'completions']]]);
  t.throws(() => kept([3]), { instanceOf: UsageError, message: /^descriptor 3: its ring is mapped/ });
});
