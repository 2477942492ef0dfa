/** Pipes and FIFOs: made first, so that their ends can be placed; filled last, when nothing waits on them yet. */

import { O } from '../../fcntl.js';
import { type DescriptorTable, modelOf, type OpenFileOf } from '../../snapshot/descriptors.js';
import { call, tolerate } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, control, duplicate, open, setFlags, settable, write } from './calls.js';
import { file } from './file.js';
import { makeNameless, restore } from './nameless.js';
import type { KindPlanner, PipePlace, PipeUsers, Tools } from './planner.js';

type Pipe = DescriptorTable['pipes'][number];

const REOPENED = O.ACCMODE | O.APPEND | O.NONBLOCK | O.DIRECT | O.LARGEFILE;

/** Plans an end of a pipe or FIFO that {@link makePipes} has made. */
export const pipe: KindPlanner<OpenFileOf<'pipe'>> = {
  make: (description, place, { bench, pipes }) => {
    const { reader, writer, users } = pipes[description.pipe]!;
    const table = bench.table.pipes[description.pipe]!;
    const source = description.end === 'write' ? writer : reader;
    const label = labelOf(table, place.name);
    if (isFirst(description, place.index, users, bench)) {
      bench.opened(place.at);
      return [
        duplicate(source, place.at, place.closeOnExec, { label }),
        ...(settable(description.flags) ? [setFlags(place.at, description.flags, { label })] : []),
      ];
    }
    // Another description of the same end: opened, without waiting for the other end.
    const flags = (description.flags & REOPENED) | O.NONBLOCK;
    return [
      ...bench.create(
        (closeOnExec) =>
          open(bench.arena, `/proc/self/fd/${source}`, flags | (closeOnExec ? O.CLOEXEC : 0), { label }),
        place.at,
        place.closeOnExec,
      ),
      ...(description.flags & O.NONBLOCK ? [] : [setFlags(place.at, description.flags, { label })]),
    ];
  },
  check: (description, place, tools) => {
    const { path } = tools.bench.table.pipes[description.pipe]!;
    if (path === '') return [];
    return file.check!({ ...asFile(path), locks: description.locks }, place, tools);
  },
};

function labelOf({ path, removed }: Pipe, name: string): string {
  if (removed) return `cannot make the deleted FIFO ${removed.name} again (${name})`;
  return path === '' ? `cannot make a pipe (${name})` : `cannot reopen ${path} (${name})`;
}

/** Whether pipe2(2) makes it: a FIFO has, or had, a path. */
function isPlain({ path, removed }: Pipe): boolean {
  return path === '' && !removed;
}

/** A FIFO as what must be found at its path. */
function asFile(path: string): OpenFileOf<'file'> {
  return {
    ...{ kind: 'file', type: 'fifo', path, flags: O.RDWR | O.NONBLOCK, locks: [] },
    ...{ offset: 0n, size: 0n, modified: null, device: null },
  };
}

/**
 * pipe2(2) gives one description of each end: the first of the process takes it. The ends of a FIFO
 * are all opened, and so are descriptions that read and write.
 */
function isFirst(
  description: OpenFileOf<'pipe'>,
  index: number,
  users: PipeUsers,
  { table }: Bench,
): boolean {
  if (description.end === 'both' || !isPlain(table.pipes[description.pipe]!)) return false;
  return index === (description.end === 'read' ? users.firstReader : users.firstWriter);
}

/** Who uses each pipe, in one pass over the table. */
function usersOf({ table }: Bench): PipeUsers[] {
  const users: { -readonly [K in keyof PipeUsers]: PipeUsers[K] }[] = table.pipes.map(() => ({
    first: undefined,
    firstReader: undefined,
    firstWriter: undefined,
  }));
  table.files.forEach((file, index) => {
    if (file.kind !== 'pipe') return;
    const pipe = users[file.pipe]!;
    pipe.first ??= index;
    if (file.end === 'read') pipe.firstReader ??= index;
    if (file.end === 'write') pipe.firstWriter ??= index;
  });
  return users;
}

/** The numbers at which pipes stand while they are made. */
export function pipePlaces(bench: Bench): PipePlace[] {
  const users = usersOf(bench);
  return bench.table.pipes.map((pipe, index) => {
    const reader = bench.temporary();
    return { reader, writer: isPlain(pipe) ? bench.temporary() : reader, users: users[index]! };
  });
}

/** The name of the first that uses a pipe. */
function nameOf(index: number, { users }: PipePlace, { places }: Bench): string {
  const user = users.first === undefined ? undefined : places[users.first];
  return user?.name ?? `pipe ${index}`;
}

/** Makes the pipes at temporary numbers. */
export function makePipes(tools: Tools): Op[] {
  const { bench, pipes } = tools;
  return bench.table.pipes.flatMap((pipe, index): Op[] => {
    const { path, capacity, unwritten = false, removed } = pipe;
    const place = pipes[index]!;
    const name = nameOf(index, place, bench);
    const label = labelOf(pipe, name);
    return [
      ...(removed
        ? makeFifo(unwritten, place, label, tools)
        : path === ''
          ? makePipe(place, label, bench)
          : openFifo(path, unwritten, place, name, tools)),
      // Above fs.pipe-max-size takes a privilege; the content may fit all the same.
      control(place.writer, 'SETPIPE_SZ', capacity, String(capacity), { label, check: tolerate('EPERM') }),
    ];
  });
}

function makePipe({ reader, writer }: PipePlace, label: string, bench: Bench): Op[] {
  // Two ints. An operand is a whole word, of which the kernel takes the lower half as a descriptor.
  const pair = bench.arena.reserve(16);
  const [first, second] = [{ cell: pair }, { cell: pair + 4n }];
  bench.opened(reader);
  bench.opened(writer);
  return [
    call('pipe2', [pair, O.CLOEXEC], { label, text: 'pipe2([], O_CLOEXEC)' }),
    duplicate(first, reader, true, { label }),
    duplicate(second, writer, true, { label }),
    close(first),
    close(second),
  ];
}

/** One without a name. */
function makeFifo(unwritten: boolean, { reader }: PipePlace, label: string, { bench, scratch }: Tools): Op[] {
  const flags = (unwritten ? O.RDONLY : O.RDWR) | O.NONBLOCK | O.NOFOLLOW | O.CLOEXEC;
  return bench.createByOneOf(
    (made) => makeNameless({ kind: 'fifo', label, flags }, made, scratch, bench),
    reader,
  );
}

/** Gives FIFOs without a name their owners, modes and times, when all is in them and nothing opens them any more. */
export function sealFifos(bench: Bench): Op[] {
  return usersOf(bench).flatMap(({ first }, index) => {
    const pipe = bench.table.pipes[index]!;
    if (!pipe.removed || first === undefined) return [];
    const { at, name } = bench.places[first]!;
    return restore(pipe.removed, at, labelOf(pipe, name), bench);
  });
}

/** For reading alone where there is no writer, and the readers must not take ours for one that has gone. */
function openFifo(path: string, unwritten: boolean, { reader }: PipePlace, name: string, tools: Tools): Op[] {
  const place: Place = { index: -1, at: reader, closeOnExec: true, descriptors: [], name };
  const flags = (unwritten ? O.RDONLY : O.RDWR) | O.NONBLOCK;
  return file.make({ ...asFile(path), flags }, place, tools);
}

/**
 * When a pipe is filled:
 * - `soon`: before memory is mapped; a FIFO that has a path, too, if it has a POSIX lock, as to close it lets go of that
 * - `late`: when locks are taken and sockets have their paths, but nothing of the process hears of it yet
 * - `last`: when nothing else can fail any more. Others may read what is written to a path, and would find it there when
 *   the thaw has failed
 */
export type FillTime = 'soon' | 'late' | 'last';

function fillTime(index: number, { table }: Bench): FillTime {
  const { path, removed, content } = table.pipes[index]!;
  if (path === '' || removed || content.length === 0) return 'soon';
  const ends = table.files.filter((file) => file.kind === 'pipe' && file.pipe === index);
  if (ends.some(({ locks }) => locks.length > 0)) return 'soon';
  const isHeard =
    ends.some(({ flags }) => (flags & O.ASYNC) !== 0) ||
    table.files.some((file) => modelOf(file).watchesFiles);
  return isHeard ? 'late' : 'last';
}

/** The temporary numbers of pipes that are filled and closed at some times. */
export function fillNumbers({ bench, pipes }: Tools, times: readonly FillTime[]): number[] {
  return pipes.flatMap(({ reader }, index) => (times.includes(fillTime(index, bench)) ? [reader] : []));
}

/** Writes what was in the pipes, and closes the temporary numbers: an end that nobody has is closed with them. */
export function fillPipes(tools: Tools, time: FillTime): Op[] {
  return tools.pipes.flatMap((_, index) => (fillTime(index, tools.bench) === time ? fill(index, tools) : []));
}

function fill(index: number, { bench, pipes }: Tools): Op[] {
  const pipe = bench.table.pipes[index]!;
  const { content, packets, path, removed } = pipe;
  const place = pipes[index]!;
  const { reader, writer, users } = place;
  const count = packets ?? (content.length > 1 ? content.length : 0);
  const label = `cannot fill ${(removed?.name ?? path) || 'a pipe'} (${nameOf(index, place, bench)})`;
  const first = users.firstWriter === undefined ? undefined : bench.table.files[users.firstWriter];
  const before = isPlain(pipe) && first ? first.flags : 0;
  const ops: Op[] = [];
  if (content.length > 0) {
    content.forEach((bytes, i) => {
      if (i === 0 || i === count)
        ops.push(setFlags(writer, O.NONBLOCK | (i < count ? O.DIRECT : 0), { label }));
      ops.push(
        write(bench.arena, writer, bytes, {
          label,
          reason: `its ${bytes.length} bytes do not fit into a pipe that this user may make (fs.pipe-max-size)`,
        }),
      );
    });
    ops.push(setFlags(writer, before, { label }));
  }
  bench.closed(reader);
  bench.closed(writer);
  return [...ops, ...[...new Set([reader, writer])].map(close)];
}
