/**
 * What the frozen process has of connections that are kept, where it was left stopped (`--stop`). While it is
 * there it has them still. Once it was ended, they are nobody's: the kernel tries to end them in vain, as the
 * hold drops its segments, and they are in the way of their likes until they are removed. The hold drops the
 * resets of that as well.
 */
import { O } from '../../fcntl.js';
import { SO, SOL, takeApart } from '../../inet.js';
import { ANSWER, askForConnection, DIAG, REQUEST } from '../../inet-diag.js';
import { NLM, NLMSG_ERROR, NLMSG_FLAGS, NLMSG_TYPE, NLMSGHDR } from '../../netlink.js';
import { heldProcess, stoppedAdvice } from '../../nftables.js';
import { call, type FieldExtra, testField } from '../calls.js';
import type { Cell, Op } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, unlessCheck } from './calls.js';
import { findInterface, storeIndex } from './interfaces.js';
import { exchange, openNetlink, REPLY } from './netlink-calls.js';
import { type Connected, connectionName, isConnected } from './tcp-connection.js';

const EFD_SEMAPHORE = 1;
/** Milliseconds, in all, that a process which is being ended may take to close its connections. */
const PATIENCE = 1000;

/** What all connections are asked for with. */
interface Desk {
  readonly netlink: Cell;
  /** An eventfd that counts down. */
  readonly patience: Cell;
  /** Address of the answer. */
  readonly reply: bigint;
  /** Where it goes on when one connection stands in the way. */
  readonly end: string;
}

/** Tests that no process has the connections, and removes what is nobody's; under `--check` nothing is removed. */
export function endOrphans(hold: string, bench: Bench): Op[] {
  const { arena, table, places } = bench;
  const desk = {
    netlink: arena.cell(),
    patience: arena.cell(),
    reply: arena.reserve(REPLY),
    end: bench.mark(),
  };
  const connections = places.flatMap((place) => {
    const file = table.files[place.index]!;
    return file.kind === 'inet' && isConnected(file) ? endOrphan(file, place, hold, desk, bench) : [];
  });
  if (connections.length === 0) return [];
  const label = 'cannot look for connections of the frozen process';
  return [
    openNetlink(desk.netlink, 'SOCK_DIAG', { label }),
    call('eventfd2', [PATIENCE, EFD_SEMAPHORE | O.NONBLOCK | O.CLOEXEC], { label, result: desk.patience }),
    ...connections,
    { op: 'mark', name: desk.end },
    close(desk.netlink),
    close(desk.patience),
  ];
}

function endOrphan(file: Connected, place: Place, hold: string, desk: Desk, bench: Bench): Op[] {
  const { connection } = file;
  const pid = heldProcess(hold);
  const label = `cannot make the ${connectionName(connection, place.name)}`;
  const bytes = askForConnection(connection);
  const request = bench.arena.bytes(bytes);
  const question = exchange(desk.netlink, 'SOCK_DIAG', request, bytes.length, desk.reply);
  const [again, gone, alive, refused, orphan] = Array.from({ length: 5 }, () => bench.mark());
  const reply = (at: number, width: 2 | 4, expected: number, text: string, extra: FieldExtra): Op =>
    testField(desk.reply + BigInt(at), width, expected, { text: `test ${text} == ${expected}`, ...extra });
  const isType = (type: number, extra: FieldExtra) => reply(NLMSG_TYPE, 2, type, 'nlmsg_type', extra);
  const isOurs = (extra: FieldExtra) => reply(ANSWER.INODE, 4, 0, 'idiag_inode', extra);
  const become = (type: number, flags: number): Op[] => [
    { op: 'store', address: request + BigInt(NLMSG_TYPE), width: 2, value: type },
    { op: 'store', address: request + BigInt(NLMSG_FLAGS), width: 2, value: flags },
  ];
  const port = swapped(takeApart(connection.peer).port);
  const left = `what process ${pid} has left of it`;
  const notOffered = {
    label,
    reason: `${left} goes away within minutes; this kernel does not remove it before (SOCK_DESTROY)`,
  };
  const notDone = { label, reason: `this kernel fails to remove ${left} (SOCK_DESTROY)` };
  return [
    ...setInterface(file, request, desk, place.name, bench),
    { op: 'mark', name: again! },
    ...question,
    isType(DIAG.SOCK_DIAG_BY_FAMILY, { jump: gone! }),
    // Another port: a listening one, as there is no connection.
    reply(ANSWER.PEER_PORT, 2, port, 'idiag_dport', { jump: gone! }),
    isOurs({ jump: alive! }),
    { op: 'jump', to: orphan! },
    { op: 'mark', name: alive! },
    call('read', [desk.patience, bench.scratch, 8], {
      label,
      check: { kind: 'ok', tolerated: ['EAGAIN'], jump: refused! },
    }),
    call('poll', [0, 0, 1], { check: { kind: 'none' } }),
    { op: 'jump', to: again! },
    { op: 'mark', name: refused! },
    isOurs({ label, reason: `process ${pid} still has it: ${stoppedAdvice(pid, hold)}` }),
    { op: 'jump', to: desk.end },
    { op: 'mark', name: orphan! },
    ...unlessCheck([
      ...become(DIAG.SOCK_DESTROY, NLM.REQUEST | NLM.ACK),
      // This very socket, and none that may have come into its place.
      {
        op: 'store',
        address: request + BigInt(REQUEST.COOKIE),
        width: 8,
        value: { cell: desk.reply + BigInt(ANSWER.COOKIE) },
      },
      ...question,
      isType(NLMSG_ERROR, notOffered),
      reply(NLMSGHDR, 4, 0, 'nlmsgerr.error', notOffered),
      ...become(DIAG.SOCK_DIAG_BY_FAMILY, NLM.REQUEST),
      ...question,
      isType(NLMSG_ERROR, notDone),
    ]),
    { op: 'mark', name: gone! },
  ];
}

/** A socket that is bound to an interface is found only by whoever names that. */
function setInterface(
  { scope, options }: Connected,
  request: bigint,
  { netlink }: Desk,
  owner: string,
  bench: Bench,
): Op[] {
  const device = options.find(({ level, option }) => level === SOL.SOCKET && option === SO.BINDTODEVICE);
  const bound = Buffer.from(device?.value ?? [])
    .toString('latin1')
    .replace(/\0.*$/s, '');
  const name = scope === '' ? bound : scope;
  if (name === '') return [];
  const found = findInterface(netlink, name, owner, bench);
  return [...found.ops, ...storeIndex(found, request + BigInt(REQUEST.INTERFACE))];
}

/** A number of 16 bits in the network's order, as this machine reads it. */
function swapped(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8);
}
