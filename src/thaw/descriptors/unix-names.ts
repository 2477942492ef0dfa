/** Names of Unix domain sockets: in the file system they appear at the very end, when nothing else can fail. */

import { dirname } from 'node:path/posix';
import { bytesOfText, quoted } from '../../byte-text.js';
import { UnsupportedError } from '../../errors.js';
import { AT_FDCWD, O } from '../../fcntl.js';
import type { OpenFile, OpenFileOf } from '../../snapshot/descriptors.js';
import { AF_UNIX, Sock } from '../../socket.js';
import { isAbstract, isPath, socketName, socketPath } from '../../unix-name.js';
import { call, show, tolerate } from '../calls.js';
import { errnoNumber } from '../errno.js';
import type { Cell, Op, Operand } from '../program.js';
import type { Bench } from './bench.js';
import { close, open } from './calls.js';
import type { Tools } from './planner.js';
import { madeBy } from './unix-makers.js';

type Socket = OpenFileOf<'unix'>;

/** `SOCK_*` by type. */
export const TYPES: Readonly<Record<Socket['type'], number>> = {
  stream: Sock.STREAM,
  datagram: Sock.DGRAM,
  seqpacket: Sock.SEQPACKET,
};
const AT_SYMLINK_NOFOLLOW = 0x100;
const STATX_TYPE = 1;
/** Offset of `stx_mode` in `struct statx`. */
const STX_MODE = 28n;
const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;
const LOST = 'this path, or that of another socket, was taken meanwhile';
/** Until others have connected to it. */
const PRIVATE = 0o600;
const W_OK = 2;
const X_OK = 1;

/** A type of socket as strace prints it. */
export function showType(type: Socket['type']): string {
  const names = { stream: 'STREAM', datagram: 'DGRAM', seqpacket: 'SEQPACKET' };
  return `SOCK_${names[type]}|SOCK_CLOEXEC`;
}

/** socket(2). */
export function makeSocket(type: Socket['type'], result: Cell, label: string): Op {
  return call('socket', [AF_UNIX, TYPES[type] | Sock.CLOEXEC, 0], {
    label,
    result,
    text: `socket(AF_UNIX, ${showType(type)}, 0)`,
  });
}

/** `struct sockaddr_un`: its address and length. A path ends with a NUL. */
function addressOf({ arena }: Bench, name: Uint8Array): [bigint, number] {
  const bytes = Buffer.alloc(2 + name.length + (isPath(name) ? 1 : 0));
  bytes.writeUInt16LE(AF_UNIX, 0);
  bytes.set(name, 2);
  // A path of 108 bytes has no room for it, and needs none.
  const length = Math.min(bytes.length, 110);
  return [arena.bytes(bytes), length];
}

/** bind(2). @param owner name of the descriptor, for messages */
export function bind(bench: Bench, fd: Operand, name: Uint8Array, owner: string): Op {
  return call('bind', [fd, ...addressOf(bench, name)], {
    label: `cannot bind ${socketName(name)} (${owner})`,
    text: `bind(${show(fd)}, {AF_UNIX, ${quoted(socketName(name))}})`,
  });
}

/**
 * Operations with a name that is a relative path, done in the folder at which it starts.
 * @param folder `null` for any other name
 */
export function inFolder(folder: string | null, label: string, bench: Bench, ops: readonly Op[]): Op[] {
  if (folder === null) return [...ops];
  const { arena } = bench;
  const here = arena.cell();
  // At the end there may be no number left.
  bench.temporary();
  return [
    // The image may be started where its user may not be: there it cannot go back to, and need not.
    open(arena, '.', O.PATH | O.CLOEXEC, { label, result: here, check: tolerate('EACCES') }),
    call('chdir', [arena.string(folder)], { label, text: `chdir(${quoted(folder)})` }),
    ...ops,
    call('fchdir', [here], { label, check: tolerate('EBADF') }),
    close(here),
  ];
}

/** connect(2). */
export function connect(bench: Bench, fd: Operand, name: Uint8Array, label: string): Op {
  return call('connect', [fd, ...addressOf(bench, name)], {
    label,
    text: `connect(${show(fd)}, {AF_UNIX, ${quoted(socketName(name))}})`,
  });
}

/** listen(2). */
export function listen(fd: Operand, backlog: number, label: string): Op {
  return call('listen', [fd, backlog], { label });
}

/** unlink(2) of what may be there. */
export function unlink({ arena }: Bench, path: string): Op {
  return call('unlink', [arena.string(path)], {
    label: `cannot remove ${path}`,
    check: tolerate('ENOENT'),
    text: `unlink(${quoted(path)})`,
  });
}

/** Binds a socket to its abstract name, and lets it listen. Nothing of that stays if the thaw fails. */
export function bindAbstract(
  { name, accepted, backlog, peerCredentials }: Socket,
  fd: number,
  owner: string,
  bench: Bench,
): Op[] {
  if (!isAbstract(name) || accepted) return [];
  return [
    bind(bench, fd, name, owner),
    ...(backlog === null
      ? []
      : madeBy(
          peerCredentials,
          [listen(fd, backlog, `cannot listen at ${socketName(name)} (${owner})`)],
          bench,
        )),
  ];
}

/** A socket with a path of its own. */
interface Named {
  readonly file: Socket;
  readonly at: number;
  readonly owner: string;
  readonly path: string;
  /** Where the file lies at last, moved or not. */
  readonly place: string;
  /** What bind(2) gave, or what failed behind it; 1 before. */
  readonly bound: Cell;
}

/** In the order in which they can be bound. */
function namedByPath({ table, places, arena }: Bench): Named[] {
  const named = places.flatMap(({ at, name }, index) => {
    const file = table.files[index]!;
    if (file.kind !== 'unix' || !isPath(file.name) || file.accepted) return [];
    const path = socketPath(file.name, file.folder);
    const place = file.node?.path ?? path;
    return [{ file, at, owner: name, path, place, bound: arena.cell(1n) }];
  });
  return inOrder(named);
}

/** Its file is not to be found at its name any more. */
function leaves({ file, path, place }: Named): boolean {
  return !file.node || place !== path;
}

/**
 * A socket that leaves its path goes before those that end there.
 * @throws UnsupportedError where each of several waits for another
 */
function inOrder(named: readonly Named[]): Named[] {
  const leaving = new Map<string, Named[]>();
  for (const one of named.filter(leaves)) leaving.set(one.path, [...(leaving.get(one.path) ?? []), one]);
  const ordered = new Set<Named>();
  const visit = (one: Named, waiting: ReadonlySet<Named>): void => {
    if (waiting.has(one)) {
      throw new UnsupportedError([
        `the files of Unix domain sockets, ${one.place} among them, were exchanged`,
      ]);
    }
    const first = one.file.node ? (leaving.get(one.place) ?? []) : [];
    for (const other of first) {
      if (other !== one && !ordered.has(other)) visit(other, new Set([...waiting, one]));
    }
    ordered.add(one);
  };
  for (const one of named) visit(one, new Set());
  return [...ordered];
}

/**
 * Tests, changing nothing, whether the paths can be bound: nothing is there, or the file of a socket
 * on which nobody listens.
 */
export function testSocketNames(bench: Bench): Op[] {
  const { table, places } = bench;
  const seen = new Set<string>();
  return places.flatMap(({ name: owner }, index) => {
    const file = table.files[index]!;
    if (file.kind !== 'unix' || !isPath(file.name)) return [];
    const path = socketPath(file.name, file.folder);
    if (seen.has(path)) return [];
    seen.add(path);
    const label = `cannot bind ${path} (${owner})`;
    const place = file.node?.path;
    return [
      ...inFolder(file.folder, label, bench, testPath(path, file.name, label, bench)),
      ...(place ? testPath(place, bytesOfText(place), `cannot move it to ${place} (${owner})`, bench) : []),
    ];
  });
}

/** A datagram socket asks: no listening socket takes its connection, but one that is there has another type. */
function testPath(path: string, name: Uint8Array, label: string, bench: Bench): Op[] {
  const { arena, scratch } = bench;
  const [occupied, dead, end] = [bench.mark(), bench.mark(), bench.mark()];
  const fd = arena.cell(-1n);
  const folder = dirname(path);
  const ask = (expected: string, otherwise: string): Op =>
    ({
      ...connect(bench, fd, name, label),
      check: { kind: 'equal', expected: -errnoNumber(expected), jump: otherwise },
    }) as Op;
  return [
    call('faccessat', [AT_FDCWD, arena.string(folder), W_OK | X_OK], {
      label,
      text: `faccessat(AT_FDCWD, ${quoted(folder)}, W_OK|X_OK)`,
    }),
    makeSocket('datagram', fd, label),
    ask('ENOENT', dead),
    { op: 'jump', to: end },
    { op: 'mark', name: dead },
    ask('ECONNREFUSED', occupied),
    call('statx', [AT_FDCWD, arena.string(path), AT_SYMLINK_NOFOLLOW, STATX_TYPE, scratch], {
      label,
      text: `statx(AT_FDCWD, ${quoted(path)}, AT_SYMLINK_NOFOLLOW, STATX_TYPE)`,
    }),
    {
      op: 'test',
      address: scratch + STX_MODE,
      width: 2,
      mask: BigInt(S_IFMT),
      check: { kind: 'equal', expected: S_IFSOCK },
      label,
      reason: 'something else than a socket is there',
      text: `test statx.stx_mode & S_IFMT == 0${S_IFSOCK.toString(8)}`,
    },
    { op: 'jump', to: end },
    { op: 'mark', name: occupied },
    never(label, 'another socket is bound to it', bench),
    { op: 'mark', name: end },
    close(fd),
  ];
}

/** Fails. */
function never(label: string, reason: string, { scratch }: Bench): Op {
  return {
    op: 'test',
    address: scratch,
    width: 1,
    mask: 0n,
    check: { kind: 'equal', expected: 1 },
    label,
    reason,
    text: `fail: ${reason}`,
  };
}

/**
 * Binds sockets to their paths, gives the files their modes and owners, and connects what is connected
 * by a name. If one cannot be bound, because somebody was faster, the others' files are removed.
 * `undo` removes them where anything fails after that.
 */
export function bindSockets({ bench }: Tools): { ops: Op[]; undo: Op[] } {
  const named = namedByPath(bench);
  if (named.length === 0) return { ops: connectAll(bench), undo: [] };
  return { ops: bindAll(named, bench), undo: named.flatMap((socket) => removeIfBound(socket, bench)) };
}

/** The file is ours if bind(2) has succeeded. */
function removeIfBound({ file, bound, place }: Named, bench: Bench): Op[] {
  if (!file.node) return [];
  const next = bench.mark();
  return [
    { ...testBound(bound, place), check: { kind: 'equal', expected: 0, jump: next } },
    { ...unlink(bench, place), check: { kind: 'none' } } as Op,
    { op: 'mark', name: next },
  ];
}

function bindAll(named: readonly Named[], bench: Bench): Op[] {
  const end = bench.mark();
  const taken = new Set(named.filter((socket) => !leaves(socket)).map(({ path }) => path));
  const late = awaited(bench);
  const undos = named.map(() => ({ bound: bench.mark(), stuck: bench.mark(), unbound: bench.mark() }));
  return [
    ...named.flatMap((socket, i) => bindOne(socket, undos[i]!, taken.has(socket.path), late, bench)),
    { op: 'jump', to: end },
    ...named.flatMap((socket, i) => undoOne(socket, undos[i]!, bench)).reverse(),
    ...nameFailed(named, bench),
    { op: 'mark', name: end },
    ...connectAll(bench),
    ...named.flatMap(({ file, path, place, owner }) =>
      file.node && late.has(file)
        ? restoreNode(file.node, place, `cannot bind ${path} (${owner})`, bench)
        : [],
    ),
  ];
}

/** Fails, with the name of the socket that could not be bound. */
function nameFailed(named: readonly Named[], bench: Bench): Op[] {
  const marks = named.map(() => bench.mark());
  return [
    ...named.map(
      ({ bound, path }, i): Op => ({
        ...testBound(bound, path),
        check: { kind: 'atleast', expected: 0, jump: marks[i]! },
      }),
    ),
    ...named.flatMap(({ path, owner }, i): Op[] => [
      { op: 'mark', name: marks[i]! },
      never(`cannot bind ${path} (${owner})`, LOST, bench),
    ]),
  ];
}

function testBound({ cell }: Cell, path: string) {
  return {
    op: 'test' as const,
    ...{ address: cell, width: 8 as const, mask: 0xffff_ffff_ffff_ffffn },
    text: `test ${path} is bound`,
  };
}

/** In reverse: whoever jumps to `unbound` leaves the file alone, which is somebody else's. */
function undoOne({ file, path, place }: Named, { bound, stuck, unbound }: Undo, bench: Bench): Op[] {
  return [
    { op: 'mark', name: unbound },
    ...(place === path ? [] : [unlink(bench, path)]),
    { op: 'mark', name: stuck },
    { op: 'jump', to: unbound },
    ...(file.node ? [unlink(bench, place)] : []),
    { op: 'mark', name: bound },
  ];
}

/** Where the program goes on if the socket cannot listen, cannot be moved, or cannot be bound. */
interface Undo {
  readonly bound: string;
  readonly stuck: string;
  readonly unbound: string;
}

/**
 * @param dead the file at its path is that of a dead socket, which another one of the image replaces
 * @param late see {@link awaited}
 */
function bindOne(socket: Named, undo: Undo, dead: boolean, late: ReadonlySet<Socket>, bench: Bench): Op[] {
  const { file, at, owner, path, place, bound } = socket;
  const label = `cannot bind ${path} (${owner})`;
  const { node, backlog, peerCredentials } = file;
  const settle =
    node === null
      ? [unlink(bench, path)]
      : late.has(file)
        ? [setMode(place, PRIVATE, label, bench)]
        : restoreNode(node, place, label, bench);
  return [
    ...(node || dead ? [unlink(bench, path)] : []),
    ...inFolder(file.folder, label, bench, [
      {
        ...bind(bench, at, file.name, owner),
        result: bound,
        check: { kind: 'ok', jump: undo.unbound },
      } as Op,
    ]),
    ...(place === path ? [] : [move(socket, undo, bench)]),
    ...settle,
    ...(backlog === null
      ? []
      : [
          ...madeBy(
            peerCredentials,
            [{ ...listen(at, backlog, label), result: bound, check: { kind: 'none' } } as Op],
            bench,
          ),
          { ...testBound(bound, path), check: { kind: 'equal', expected: 0, jump: undo.bound } } as Op,
        ]),
  ];
}

/** Sockets to which others are connected by their paths: the modes that they had need not give leave to that. */
function awaited({ table: { files } }: Bench): ReadonlySet<Socket> {
  const connected = files.filter(
    (file, index) => file.kind === 'unix' && file.peer !== null && otherOf(files, index) === null,
  );
  return new Set(connected.map((file) => files[(file as Socket).peer!] as Socket));
}

/** rename(2), over the file of a dead socket. */
function move({ path, place, owner, bound }: Named, { stuck }: Undo, { arena }: Bench): Op {
  return call('rename', [arena.string(path), arena.string(place)], {
    label: `cannot move ${path} to ${place} (${owner})`,
    result: bound,
    check: { kind: 'ok', jump: stuck },
    text: `rename(${quoted(path)}, ${quoted(place)})`,
  });
}

function restoreNode(
  { mode, uid, gid }: NonNullable<Socket['node']>,
  path: string,
  label: string,
  bench: Bench,
): Op[] {
  const { arena } = bench;
  return [
    // As far as whoever starts the image may.
    call('fchownat', [AT_FDCWD, arena.string(path), uid, gid, AT_SYMLINK_NOFOLLOW], {
      label,
      check: tolerate('EPERM'),
      text: `fchownat(AT_FDCWD, ${quoted(path)}, ${uid}, ${gid}, AT_SYMLINK_NOFOLLOW)`,
    }),
    setMode(path, mode, label, bench),
  ];
}

function setMode(path: string, mode: number, label: string, { arena }: Bench): Op {
  return call('fchmodat', [AT_FDCWD, arena.string(path), mode], {
    label,
    text: `fchmodat(AT_FDCWD, ${quoted(path)}, 0${mode.toString(8)})`,
  });
}

/** The socket at the other end, if both are made as one pair or connection; `null` if each is connected by a name, or none. */
export function otherOf(files: readonly OpenFile[], index: number): number | null {
  const socket = files[index] as Socket;
  const { peer } = socket;
  if (peer === null || peer === index) return null;
  const other = files[peer] as Socket;
  if (other.peer !== index) return null;
  return isConnectedByName(socket) && isConnectedByName(other) ? null : peer;
}

/** Datagram sockets that were connected one after the other: who did that is noted down nowhere (SO_PEERCRED). */
function isConnectedByName({ type, name, node, peerCredentials }: Socket): boolean {
  return type === 'datagram' && peerCredentials === null && (isAbstract(name) || node?.path === null);
}

/** Datagram sockets that are connected to one that is not, or not to them, or whose peer is known by its name. */
function connectAll(bench: Bench): Op[] {
  const { files } = bench.table;
  return bench.places.flatMap(({ at, name }, index) => {
    const file = files[index]!;
    if (file.kind !== 'unix' || file.peer === null || otherOf(files, index) !== null) return [];
    const peer = files[file.peer] as Socket;
    const label = `cannot connect to ${socketPath(peer.name, peer.folder)} (${name})`;
    return inFolder(peer.folder, label, bench, [connect(bench, at, peer.name, label)]);
  });
}
