import test from 'ava';
import { UsageError } from '../../src/errors.js';
import { parseChoices } from '../../src/proc/descriptors/choices.js';
import { parseEnvironment, parseNewFiles, parsePaths } from '../../src/rewrite/changes.js';
import { rewriteDescriptors } from '../../src/rewrite/descriptors.js';
import { rewritePaths } from '../../src/rewrite/paths.js';
import type { OpenFile } from '../../src/snapshot/descriptors.js';
import type { Process } from '../../src/snapshot/schema.js';
import { makeProcess } from '../snapshot/fixture.js';

const NONE = {
  descriptors: parseChoices([], []),
  files: new Map<string, string>(),
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
    workingDirectory: '/home/a/work',
    mappedFiles: [{ path: '/home/a/map', writable: true, size: 1 }],
    objects: [],
    descriptors: {
      files,
      descriptors: descriptors.map(([fd, index]) => ({ fd, file: index, closeOnExec: false })),
      pipes: [{ capacity: 4096, content: [], path: '/home/a/fifo' }],
      terminal: null,
    },
  };
}

const pathsOf = ({ descriptors, mappedFiles, workingDirectory }: Process) => [
  ...descriptors.files.flatMap((one) => (one.kind === 'file' ? [one.path] : [])),
  ...descriptors.pipes.map(({ path }) => path),
  ...mappedFiles.map(({ path }) => path),
  workingDirectory,
];

test('beginnings of paths, everywhere; the longest counts', (t) => {
  const process = processWith([file('/home/a'), file('/home/ab'), file('/home/a/work/x')], [[3, 0]]);
  const paths = parsePaths(['/home/a=/b', '/home/a/work=c'], '/srv');
  t.deepEqual(pathsOf(rewritePaths(process, { ...NONE, paths })), [
    '/b',
    '/home/ab',
    '/srv/c/x',
    '/b/fifo',
    '/b/map',
    '/srv/c',
  ]);
  const root = parsePaths(['/=/mnt']);
  t.is(rewritePaths(process, { ...NONE, paths: root }).workingDirectory, '/mnt/home/a/work');
  const back = parsePaths(['/home=/']);
  t.is(rewritePaths(process, { ...NONE, paths: back }).workingDirectory, '/a/work');
  t.is(rewritePaths(process, { ...NONE, paths, cwd: '/else' }).workingDirectory, '/else');
});

test('one file found elsewhere is taken as it is', (t) => {
  const process = processWith([file('/home/a/x'), file('/home/a/x'), file('/y')], [[3, 0]]);
  const changed = rewritePaths(process, {
    ...NONE,
    files: parseNewFiles(['/home/a/x=/z', '/home/a/map=/m']),
  });
  t.deepEqual(pathsOf(changed).slice(0, 5), ['/z', '/z', '/y', '/home/a/fifo', '/m']);
  t.like(changed.descriptors.files[0], { type: 'chosen', modified: null, offset: 7n });
  t.like(changed.descriptors.files[2], { type: 'regular', modified: 1n });
});

test('what changes nothing, contradicts itself or needs the process is a usage error', (t) => {
  const process = processWith([file('/x')], [[3, 0]]);
  const usage = { instanceOf: UsageError };
  t.throws(() => rewritePaths(process, { ...NONE, files: parseNewFiles(['/y=/z']) }), usage);
  t.throws(() => rewritePaths(process, { ...NONE, paths: parsePaths(['/y=/z']) }), usage);
  for (const values of [['/x=embed'], ['/x=reopen'], ['/x=/y', '/x=/z'], ['/x']]) {
    t.throws(() => parseNewFiles(values), usage);
  }
  for (const values of [['/x=/y', '/x=/z'], ['/x'], ['=/x'], ['/x=']])
    t.throws(() => parsePaths(values), usage);
  for (const values of [['A=1', 'A=2'], ['A'], ['=1']]) t.throws(() => parseEnvironment(values), usage);
  t.throws(() => rewriteDescriptors(process, parseChoices([4], [])), usage);
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
  const table = rewriteDescriptors(process, choices);
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
});

const socket = (name: string | Uint8Array, peer: number | null): OpenFile => ({
  ...{ kind: 'unix', flags: 2, locks: [], type: 'stream', accepted: false, node: null, backlog: null, peer },
  ...{
    gone: null,
    shutdown: 0,
    content: [],
    credentials: false,
    sendBuffer: 1,
    receiveBuffer: 1,
    options: [],
  },
  name: Buffer.from(name),
});

test('Unix domain sockets: their names are paths, and their other ends may go', (t) => {
  const process = processWith(
    [socket('/home/a/s', 1), socket('\0/home/a/s', 0)],
    [
      [3, 0],
      [4, 1],
    ],
  );
  const paths = parsePaths(['/home/a=/b']);
  const { files } = rewritePaths(process, { ...NONE, paths }).descriptors;
  t.deepEqual(
    files.map((one) => one.kind === 'unix' && Buffer.from(one.name).toString()),
    ['/b/s', '\0/home/a/s'],
  );
  for (const name of [Buffer.from('/home/a/\xff', 'latin1'), `/home/a/${'x'.repeat(99)}`]) {
    const long = parsePaths(['/home/a=/home/other']);
    t.throws(() => rewritePaths(processWith([socket(name, null)], [[3, 0]]), { ...NONE, paths: long }), {
      instanceOf: UsageError,
    });
  }
  const alone = rewriteDescriptors(process, parseChoices([4], []));
  t.like(alone.files[0], { peer: null, gone: { reset: false }, shutdown: 3 });
});
