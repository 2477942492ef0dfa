/** IPv4 and IPv6 sockets: made, set up, bound; and listening, or with a fixed peer. */
import { O } from '../../fcntl.js';
import { addressText, optionName, SO, SOL, scopeOf } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { isOn, type Sharing } from '../../snapshot/ports.js';
import type { Shares } from '../../snapshot/shared-address.js';
import { call, show, tolerate } from '../calls.js';
import type { Cell, Op, Operand } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, duplicate, setFlags, settable } from './calls.js';
import { takeAddress, testAddress } from './inet-address.js';
import { testDatagrams } from './inet-datagrams.js';
import { makeEnded } from './inet-ended.js';
import { findInterface, storeIndex, testInterface } from './interfaces.js';
import { joinGroups } from './multicast.js';
import type { KindPlanner } from './planner.js';
import { makeSocket, setInteger, setOptions } from './socket-calls.js';
import {
  type Connected,
  isConnected,
  makeConnection,
  restoreConnection,
  startConnection,
  testConnection,
} from './tcp-connection.js';
import { setKeys } from './tcp-keys.js';

type Inet = OpenFileOf<'inet'>;

const MSG_MORE = 0x8000;

/** Plans a socket. */
export const inet: KindPlanner<Inet> = {
  make: (file, place, { bench, filled, shares }) => {
    if (file.ended !== null) return makeEnded(file, file.ended, place, bench);
    if (isConnected(file)) return makeConnection(file, place, bench);
    const label = `cannot make a socket (${place.name})`;
    const from = filled.get(place.index);
    const ops = from === undefined ? create(file, place, bench) : take(from, place, bench);
    ops.push(
      ...testShared(place, bench, shares),
      ...setUp(place.at, file, place.name, bench),
      ...setSharing(place, 1, bench, shares),
      ...takeAddress(place.at, file, place.name, bench, (made) => [
        makeSocket(file, O.CLOEXEC, { label, result: made }),
        ...setOptions(made, file, place.name, bench.arena),
        ...setInterfaces(made, file, place.name, bench),
        ...setSharing({ ...place, at: made }, 1, bench, shares),
      ]),
    );
    ops.push(...cork(file, place.at, place.name, bench), ...shut(file, place));
    if (settable(file.flags) & ~O.NONBLOCK) ops.push(setFlags(place.at, file.flags, { label }));
    return ops;
  },
  // Others may be bound to the port (SO_REUSEADDR) while nobody listens there.
  listen: (file, { at, name }) => {
    if (file.backlog === null) return [];
    const where = file.local ? addressText(file.local) : 'any port';
    return [call('listen', [at, file.backlog], { label: `cannot listen at ${where} (${name})` })];
  },
  // All have their addresses, and listen: what that took is not needed any more.
  connect: (file, place, { bench, shares }) =>
    isConnected(file) ? reconnect(file, place, bench) : setSharing(place, 0, bench, shares),
  release: (file, place, { bench }) => (isConnected(file) ? startConnection(file, place, bench) : []),
  check: (file, place, { bench }) => {
    if (isConnected(file)) return testConnection(file, place.name, bench);
    const datagrams = file.ended === null ? testDatagrams(file, place.name, bench) : [];
    if (file.ended !== null) return datagrams;
    const { ops, fd } = trial(file, place.name, bench);
    return [...datagrams, ...ops, ...(file.corked?.to ? cork(file, fd, place.name, bench) : []), close(fd)];
  },
};

function create(file: Inet, { at, closeOnExec, name }: Place, bench: Bench): Op[] {
  const label = `cannot make a socket (${name})`;
  const flags = file.flags & O.NONBLOCK;
  return bench.create(
    (onExec) => makeSocket(file, flags | (onExec ? O.CLOEXEC : 0), { label }),
    at,
    closeOnExec,
  );
}

/** One that was made before, at another number. */
function take(from: number, { at, closeOnExec, name }: Place, bench: Bench): Op[] {
  bench.opened(at);
  bench.closed(from);
  return [duplicate(from, at, closeOnExec, { label: `cannot make a socket (${name})` }), close(from)];
}

/** A connection that is kept. */
function reconnect(file: Connected, place: Place, bench: Bench): Op[] {
  const { local, peer } = file.connection;
  return [
    ...testScope(place.at, { ...file, local, peer }, place.name, bench),
    ...setInterfaces(place.at, file, place.name, bench),
    ...restoreConnection(file, place, bench),
  ];
}

/** Options and groups. */
function setUp(fd: Operand, file: Inet, name: string, bench: Bench): Op[] {
  return [
    ...testScope(fd, file, name, bench),
    ...setOptions(fd, file, name, bench.arena),
    ...setInterfaces(fd, file, name, bench),
    ...setKeys(fd, file, name, bench),
    ...joinGroups(fd, file.groups, name, bench),
  ];
}

/** Another socket like it, with its options and its address, which the caller closes. */
function trial(file: Inet, name: string, bench: Bench): { fd: Cell; ops: Op[] } {
  const fd = bench.arena.cell();
  const label = `cannot make a socket (${name})`;
  return {
    fd,
    ops: [
      makeSocket(file, O.CLOEXEC, { label, result: fd }),
      ...setUp(fd, file, name, bench),
      ...testAddress(fd, file, name, bench),
    ],
  };
}

/**
 * Before the first of sockets that share an address: whether each could be bound by the options that it has now, while
 * none of the others is. With more than that it might come to share the address with a stranger.
 */
function testShared({ index }: Place, bench: Bench, { together, needed }: Shares): Op[] {
  const all = together.get(index);
  if (all?.[0] !== index) return [];
  return all.flatMap((other) => {
    const file = bench.table.files[other] as Inet;
    if (addedOf(file, needed.get(other)).length === 0) return [];
    const { ops, fd } = trial(file, bench.places[other]!.name, bench);
    return [...ops, close(fd)];
  });
}

/** Lets it share its address with others of the process, as it did; or no longer. */
function setSharing(
  { index, at, name }: Pick<Place, 'index' | 'name'> & { at: Operand },
  value: 0 | 1,
  { arena, table }: Bench,
  { needed }: Shares,
): Op[] {
  const label = `cannot share an address (${name})`;
  return addedOf(table.files[index] as Inet, needed.get(index)).map((option) =>
    setInteger(at, SOL.SOCKET, option, value, arena, { label }),
  );
}

/** Options that it takes to share an address beside those that are on. */
function addedOf(file: Inet, needed: ReadonlySet<Sharing> = new Set()): number[] {
  const options = { reuseAddress: SO.REUSEADDR, reusePort: SO.REUSEPORT };
  return [...needed].map((sharing) => options[sharing]).filter((option) => !isOn(file, option));
}

/** The interface that a link-local address belongs to must have the same number here. */
function testScope(fd: Operand, { scope, local, peer }: Inet, name: string, bench: Bench): Op[] {
  if (scope === '') return [];
  const index = [local, peer].map((address) => (address ? scopeOf(address) : 0)).find((found) => found !== 0);
  return testInterface(fd, scope, index!, name, bench);
}

/** Options that take the number of an interface. */
function setInterfaces(fd: Operand, { interfaces }: Inet, owner: string, bench: Bench): Op[] {
  return interfaces.flatMap(({ level, option, name, swapped }) => {
    const found = findInterface(fd, name, owner, bench);
    const value = bench.arena.reserve(4);
    return [
      ...found.ops,
      ...storeIndex(found, value, swapped),
      call('setsockopt', [fd, level, option, value, 4], {
        label: `cannot set ${optionName(level, option)} (${owner})`,
        text: `setsockopt(${show(fd)}, ${optionName(level, option)}, ${name})`,
      }),
    ];
  });
}

/** Begins the datagram that was being put together: with MSG_MORE nothing is sent, and it is gone with the socket. */
function cork({ corked, peer }: Inet, fd: Operand, name: string, { arena }: Bench): Op[] {
  if (!corked) return [];
  const { to, content } = corked;
  const size = content.length;
  const where = to ? [arena.bytes(to), to.length] : [0, 0];
  const shown = addressText((to ?? peer)!);
  return [
    call('sendto', [fd, arena.bytes(content), size, MSG_MORE, ...where], {
      label: `cannot begin a datagram to ${shown} (${name})`,
      check: { kind: 'equal', expected: size },
      text: `sendto(${show(fd)}, [${size} bytes to ${shown}], MSG_MORE)`,
    }),
  ];
}

/** What shutdown(2) did; a socket without a peer is shut down, and told that it has none. */
function shut({ shutdown }: Inet, { at, name }: Place): Op[] {
  if (shutdown === 0) return [];
  return [
    call('shutdown', [at, shutdown - 1], {
      label: `cannot shut down a socket (${name})`,
      check: tolerate('ENOTCONN'),
    }),
  ];
}
