/** Unix domain sockets that are connected to each other. */
import { quoted } from '../../byte-text.js';
import { AT_FDCWD, O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { AF_UNIX, Sock } from '../../socket.js';
import { isPath, socketPath } from '../../unix-name.js';
import { call, show, tolerate } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';
import { close, duplicate, open } from './calls.js';
import { type Maker, madeBy } from './unix-makers.js';
import { bind, connect, inFolder, listen, makeSocket, showType, TYPES, unlink } from './unix-names.js';

type SocketType = OpenFileOf<'unix'>['type'];

/** socketpair(2), with the ends at two numbers. */
export function makePair(bench: Bench, type: SocketType, one: number, two: number, name: string): Op[] {
  const label = `cannot make a pair of sockets (${name})`;
  // Two ints. An operand is a whole word, of which the kernel takes the lower half as a descriptor.
  const pair = bench.arena.reserve(16);
  const [first, second] = [{ cell: pair }, { cell: pair + 4n }];
  return [
    call('socketpair', [AF_UNIX, TYPES[type] | Sock.CLOEXEC, 0, pair], {
      label,
      text: `socketpair(AF_UNIX, ${showType(type)}, 0, [])`,
    }),
    duplicate(first, one, true, { label }),
    duplicate(second, two, true, { label }),
    close(first),
    close(second),
  ];
}

/** A connection, of which one end has its name from a listening socket. */
export interface Connection {
  readonly type: SocketType;
  readonly name: Uint8Array;
  /** At which the name starts, if it is a relative path. */
  readonly folder: string | null;
  /** Who listened, and who connected. */
  readonly makers: readonly [Maker, Maker];
  /** The numbers of the ends. */
  readonly accepted: number;
  readonly client: number;
}

/**
 * Connects through a listening socket that bears the name and is closed again. A path leads to it for
 * as long as it takes to open that: then the file is gone, and the socket is reached through /proc.
 */
export function makeAccepted(
  bench: Bench,
  { type, name, folder, makers, accepted, client }: Connection,
  owner: string,
): Op[] {
  const { arena } = bench;
  const shown = socketPath(name, folder);
  const label = `cannot connect to ${shown} (${owner})`;
  const listener = arena.cell();
  const end = arena.cell();
  const node = bench.temporary();
  const path = isPath(name);
  const reached = path ? Buffer.from(`/proc/self/fd/${node}`) : name;
  return [
    makeSocket(type, listener, label),
    ...(path ? [moveAside(bench, shown)] : []),
    ...inFolder(folder, label, bench, [bind(bench, listener, name, owner)]),
    ...(path ? [...openNode(bench, shown, node, label), openToAll(bench, reached, label)] : []),
    ...madeBy(makers[0], [listen(listener, 1, label)], bench),
    makeSocket(type, end, label),
    duplicate(end, client, true, { label }),
    close(end),
    ...madeBy(makers[1], [connect(bench, client, reached, label)], bench),
    call('accept4', [listener, 0, 0, Sock.CLOEXEC], {
      label,
      result: end,
      text: `accept4(${show(listener)}, NULL, NULL, SOCK_CLOEXEC)`,
    }),
    duplicate(end, accepted, true, { label }),
    close(end),
    close(listener),
    ...(path ? [close(node)] : []),
  ];
}

/** Opens the file of a socket that was just bound, and removes it. */
function openNode(bench: Bench, path: string, node: number, label: string): Op[] {
  const file = bench.arena.cell();
  return [
    open(bench.arena, path, O.PATH | O.NOFOLLOW | O.CLOEXEC, { label, result: file }),
    duplicate(file, node, true, { label }),
    close(file),
    unlink(bench, path),
    rename(bench, asideOf(path), path),
  ];
}

/** Whoever connects need not be who has bound it. The file has no name any more: nobody else gets there. */
function openToAll({ arena }: Bench, node: Uint8Array, label: string): Op {
  const path = Buffer.from(node).toString();
  return call('fchmodat', [AT_FDCWD, arena.string(path), 0o777], {
    label,
    text: `fchmodat(AT_FDCWD, ${quoted(path)}, 0777)`,
  });
}

/** The file of a socket on which nobody listens any more stays what it is. */
function moveAside(bench: Bench, path: string): Op {
  return rename(bench, path, asideOf(path));
}

function asideOf(path: string): string {
  return `${path}.proc2elf`;
}

function rename({ arena }: Bench, from: string, to: string): Op {
  return call('rename', [arena.string(from), arena.string(to)], {
    label: `cannot move ${from} aside`,
    check: tolerate('ENOENT'),
    text: `rename(${quoted(from)}, ${quoted(to)})`,
  });
}
