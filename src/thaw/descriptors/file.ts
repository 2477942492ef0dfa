/** Files opened again by path: they must be what they were, and no shorter than the offset. */

import { AT_FDCWD, O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { Extra } from '../calls.js';
import { call, show, testField } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, duplicate, open, openAt, seek, setFlags } from './calls.js';
import { testLocks } from './locks.js';
import type { KindPlanner, Tools } from './planner.js';

/** What open(2) is given again. What made or cut the file short is not among it. */
export const REOPENED =
  O.ACCMODE |
  O.APPEND |
  O.NONBLOCK |
  O.DSYNC |
  O.SYNC |
  O.DIRECT |
  O.LARGEFILE |
  O.DIRECTORY |
  O.NOFOLLOW |
  O.NOATIME |
  O.PATH;
const THREAD_SELF = '/proc/thread-self';
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
/** Offsets in `struct statx`. */
const STX = { MODE: 28n, SIZE: 40n, MTIME: 112n, MTIME_NSEC: 120n, RDEV_MAJOR: 128n, RDEV_MINOR: 132n };
const S_IFMT = 0o170000;
const TYPES: Readonly<Record<string, { bits: number; name: string }>> = {
  regular: { bits: 0o100000, name: 'regular file' },
  directory: { bits: 0o040000, name: 'directory' },
  device: { bits: 0o020000, name: 'character device' },
  fifo: { bits: 0o010000, name: 'FIFO' },
  socket: { bits: 0o140000, name: 'socket' },
  symlink: { bits: 0o120000, name: 'symbolic link' },
};

/** Plans a file that is opened again by path, and tests that it is what it was. */
export const file: KindPlanner<OpenFileOf<'file'>> = {
  make: (file, place, { bench }) => {
    const label = labelOf(file, place);
    if (file.late) return hold(file, place, label, bench);
    return [
      ...bench.create(
        (closeOnExec) => openOf(file, closeOnExec, bench, { label }),
        place.at,
        place.closeOnExec,
      ),
      ...verify(file, place.at, label, bench),
      ...verifyState(file, label, bench),
      ...look(file, place, label, bench),
      ...position(file, place.at, label, bench),
      ...(unblocked(file) & ~file.flags ? [setFlags(place.at, file.flags, { label })] : []),
    ];
  },
  start: (file, place, tools) => (file.late ? openLate(file, file.late, place, tools) : []),
  check: (file, place, { bench }) => {
    if (file.late) return [];
    const label = labelOf(file, place);
    const fd = bench.arena.cell(-1n);
    const failed = bench.mark();
    return [
      openOf(file, true, bench, { label, result: fd }),
      // The failure has been told; nothing more is to be said of this file.
      call('fcntl', [fd, 1], {
        check: { kind: 'ok', tolerated: ['EBADF'], jump: failed },
        text: `fcntl(${show(fd)}, F_GETFD)`,
      }),
      ...verify(file, fd, label, bench),
      ...verifyState(file, label, bench),
      ...position(file, fd, label, bench),
      ...testLocks(file, fd, label, bench),
      close(fd),
      { op: 'mark', name: failed },
    ];
  },
};

/** Keeps the number until its file can be opened. */
function hold({ path }: OpenFileOf<'file'>, { at, closeOnExec }: Place, label: string, bench: Bench): Op[] {
  const folder = path.startsWith(`${THREAD_SELF}/`) ? THREAD_SELF : '/proc/self';
  return bench.create(
    (closeOnExec) =>
      open(bench.arena, folder, O.PATH | O.DIRECTORY | (closeOnExec ? O.CLOEXEC : 0), { label }),
    at,
    closeOnExec,
  );
}

/** Opens a file about what is there by now, and puts it at all its numbers. */
function openLate(
  file: OpenFileOf<'file'>,
  { thread, apart = false }: NonNullable<OpenFileOf<'file'>['late']>,
  place: Place,
  { bench, folderOf }: Tools,
): Op[] {
  const label = labelOf(file, place);
  const result = bench.arena.cell();
  const flags = (file.flags & REOPENED) | O.NOCTTY | O.CLOEXEC;
  const path = thread === null ? file.path : `.${file.path.slice(THREAD_SELF.length)}`;
  return [
    openAt(bench.arena, thread === null ? AT_FDCWD : folderOf(thread, apart), path, flags, { label, result }),
    ...verify(file, result, label, bench),
    ...position(file, result, label, bench),
    ...place.descriptors.map(({ fd, closeOnExec }) => duplicate(result, fd, closeOnExec, { label })),
    close(result),
  ];
}

function labelOf({ path }: OpenFileOf<'file'>, { name }: Place): string {
  return `cannot reopen ${path} (${name})`;
}

/**
 * O_NONBLOCK, where open(2) could wait: for the other end of a FIFO at a chosen path, or for another process to give way
 * that has a lease on the file (EAGAIN).
 */
function unblocked({ type, flags }: OpenFileOf<'file'>): number {
  return (type === 'chosen' || type === 'regular') && !(flags & O.PATH) ? O.NONBLOCK : 0;
}

function openOf(file: OpenFileOf<'file'>, closeOnExec: boolean, bench: Bench, extra: Extra): Op {
  const chosen = O.ACCMODE | O.APPEND | O.DSYNC | O.SYNC | O.PATH;
  // Of a regular file, O_ASYNC is no more than a flag.
  const same = file.type === 'regular' ? REOPENED | O.ASYNC : REOPENED;
  const flags = (file.flags & (file.type === 'chosen' ? chosen : same)) | unblocked(file);
  return open(bench.arena, file.path, flags | O.NOCTTY | (closeOnExec ? O.CLOEXEC : 0), extra);
}

/**
 * Reads what the process had read, so that poll(2) tells of what changes from now on. What holds something else by now is
 * opened once more: poll(2) tells of any change that was before a file was opened.
 */
function look(file: OpenFileOf<'file'>, place: Place, label: string, bench: Bench): Op[] {
  const { seen } = file;
  if (seen === undefined) return [];
  const { at } = place;
  const { arena } = bench;
  const [changed, end] = [bench.mark(), bench.mark()];
  const [found, opened] = [arena.reserve(seen.length + 1), arena.cell()];
  return [
    call('pread64', [at, found, seen.length + 1, 0], {
      check: { kind: 'equal', expected: seen.length, jump: changed },
    }),
    {
      // The byte that no byte came for is zero.
      ...{
        op: 'compare',
        left: found,
        right: arena.bytes(Buffer.concat([seen, Buffer.of(0)])),
        size: seen.length + 1,
      },
      ...{
        check: { kind: 'equal', expected: 0, jump: changed },
        text: `compare what descriptor ${at} shows`,
      },
    },
    { op: 'jump', to: end },
    { op: 'mark', name: changed },
    openOf(file, true, bench, { label, result: opened }),
    duplicate(opened, at, place.closeOnExec, { label }),
    close(opened),
    { op: 'mark', name: end },
  ];
}

/** What stands at the path must be of the type that it was; a device the same one. */
function verify(file: OpenFileOf<'file'>, fd: Operand, label: string, bench: Bench): Op[] {
  const type = TYPES[file.type];
  if (!type) return [];
  const ops: Op[] = [
    stat(fd, label, bench),
    {
      op: 'test',
      address: bench.scratch + STX.MODE,
      width: 2,
      mask: BigInt(S_IFMT),
      // A block device is found only with O_PATH; its number tells it.
      check: file.device ? { kind: 'none' } : { kind: 'equal', expected: type.bits },
      label,
      reason: `it is no longer a ${type.name}`,
      text: `test statx.stx_mode & S_IFMT == 0${type.bits.toString(8)}`,
    },
  ];
  if (file.device) {
    const { major, minor } = file.device;
    const reason = `it is no longer the device ${major}:${minor}`;
    ops.push(testWord(bench.scratch + STX.RDEV_MAJOR, major, 'stx_rdev_major', label, reason));
    ops.push(testWord(bench.scratch + STX.RDEV_MINOR, minor, 'stx_rdev_minor', label, reason));
  }
  return ops;
}

/** A regular file, as {@link verify} found it, must be what it was, or at least no shorter. */
function verifyState(file: OpenFileOf<'file'>, label: string, bench: Bench): Op[] {
  const { type, flags, offset, size, modified } = file;
  if (type !== 'regular' || flags & O.PATH) return [];
  if (modified === null) return size > 0n ? [atLeast(size, offset, label, bench)] : [];
  return verifyUnmodified(size, modified, label, bench);
}

/** Size and time. Each fails in one place: under `--check` the program goes on behind a failure. */
function verifyUnmodified(size: bigint, modified: bigint, label: string, bench: Bench): Op[] {
  const seconds = modified / 1_000_000_000n;
  const nanoseconds = modified % 1_000_000_000n;
  const [other, rounded, differs, compare, end] = Array.from({ length: 5 }, () => bench.mark());
  const field = (name: string, offset: bigint, width: 4 | 8, expected: bigint, extra: Partial<Op>): Op =>
    ({
      ...{ op: 'test', address: bench.scratch + offset, width, mask: (1n << BigInt(width * 8)) - 1n, label },
      ...{ check: { kind: 'equal', expected }, text: `test statx.${name} == ${expected}`, ...extra },
    }) as Op;
  const sized = (extra: Partial<Op>): Op => field('stx_size', STX.SIZE, 8, size, extra);
  const nsec = (expected: bigint, extra: Partial<Op>): Op =>
    field('stx_mtime.tv_nsec', STX.MTIME_NSEC, 4, expected, extra);
  const orElse = (expected: bigint, jump: string | undefined): Partial<Op> => ({
    check: { kind: 'equal', expected, ...(jump === undefined ? {} : { jump }) },
  });
  const reason = 'it has been modified since the freeze';
  return [
    sized(orElse(size, other)),
    nsec(nanoseconds, orElse(nanoseconds, rounded)),
    { op: 'jump', to: compare! },
    { op: 'mark', name: rounded! },
    // What copies files may keep no more than the seconds.
    nsec(0n, orElse(0n, differs)),
    { op: 'mark', name: compare! },
    field('stx_mtime.tv_sec', STX.MTIME, 8, seconds, { reason }),
    { op: 'jump', to: end! },
    { op: 'mark', name: differs! },
    nsec(nanoseconds, { reason }),
    { op: 'jump', to: end! },
    { op: 'mark', name: other! },
    sized({ reason: `it no longer has the ${size} bytes that it had` }),
    { op: 'mark', name: end! },
  ];
}

function stat(fd: Operand, label: string, bench: Bench): Op {
  return call('statx', [fd, bench.arena.string(''), AT_EMPTY_PATH, STATX_BASIC_STATS, bench.scratch], {
    label,
    text: `statx(${show(fd)}, "", AT_EMPTY_PATH, STATX_BASIC_STATS)`,
  });
}

function testWord(address: bigint, expected: number, name: string, label: string, reason: string): Op {
  return testField(address, 4, expected, { label, reason, text: `test statx.${name} == ${expected}` });
}

/** Puts the offset back, which the file must still reach, as far as it did. */
function position(file: OpenFileOf<'file'>, fd: Operand, label: string, bench: Bench): Op[] {
  const { offset, type, flags } = file;
  if (offset === 0n || flags & O.PATH) return [];
  if (type === 'chosen') return positionIfRegular(file, fd, label, bench);
  return [seek(fd, offset, { label })];
}

/** The size that {@link verify} found. */
function atLeast(least: bigint, offset: bigint, label: string, bench: Bench): Op {
  return {
    op: 'test',
    address: bench.scratch + STX.SIZE,
    width: 8,
    mask: 0xffff_ffff_ffff_ffffn,
    check: { kind: 'atleast', expected: least },
    label,
    reason:
      least === offset
        ? `the file is shorter than the offset ${offset}`
        : `the file is shorter than the ${least} bytes it had`,
    text: `test statx.stx_size >= ${least}`,
  };
}

/** Whatever the user has chosen: a device or a FIFO has no offset. */
function positionIfRegular(file: OpenFileOf<'file'>, fd: Operand, label: string, bench: Bench): Op[] {
  const { offset, size } = file;
  const end = bench.mark();
  return [
    stat(fd, label, bench),
    {
      op: 'test',
      address: bench.scratch + STX.MODE,
      width: 2,
      mask: BigInt(S_IFMT),
      check: { kind: 'equal', expected: TYPES.regular!.bits, jump: end },
      text: `test statx.stx_mode & S_IFMT == 0${TYPES.regular!.bits.toString(8)}`,
    },
    atLeast(smaller(size, offset), offset, label, bench),
    seek(fd, offset, { label }),
    { op: 'mark', name: end },
  ];
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
