/** IPv4 and IPv6 sockets that have no connection: made, set up, bound; and listening, or with a fixed peer. */
import { O } from '../../fcntl.js';
import { addressText, scopeOf } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench } from './bench.js';
import { close, setFlags, settable } from './calls.js';
import { makeEnded } from './inet-ended.js';
import type { KindPlanner } from './planner.js';
import { makeSocket, setOptions, toAddress } from './socket-calls.js';

type Inet = OpenFileOf<'inet'>;

const SIOCGIFINDEX = 0x8933;

/** Plans a socket. */
export const inet: KindPlanner<Inet> = {
  make: (file, place, { bench }) => {
    if (file.ended !== null) return makeEnded(file, file.ended, place, bench);
    const { arena } = bench;
    const label = `cannot make a socket (${place.name})`;
    const ops = bench.create(
      (closeOnExec) => makeSocket(file, (file.flags & O.NONBLOCK) | (closeOnExec ? O.CLOEXEC : 0), { label }),
      place.at,
      place.closeOnExec,
    );
    ops.push(...setUp(place.at, file, place.name, bench));
    if (file.backlog !== null) {
      ops.push(
        call('listen', [place.at, file.backlog], {
          label: `cannot listen at ${file.local ? addressText(file.local) : 'any port'} (${place.name})`,
        }),
      );
    }
    if (file.peer) {
      ops.push(
        toAddress('connect', place.at, file.peer, arena, {
          label: `cannot connect to ${addressText(file.peer)} (${place.name})`,
        }),
      );
    }
    if (settable(file.flags) & ~O.NONBLOCK) ops.push(setFlags(place.at, file.flags, { label }));
    return ops;
  },
  check: (file, place, { bench }) => {
    if (file.ended !== null || !file.local) return [];
    const cell = bench.arena.cell();
    const label = `cannot make a socket (${place.name})`;
    return [
      makeSocket(file, O.CLOEXEC, { label, result: cell }),
      ...setUp(cell, file, place.name, bench),
      close(cell),
    ];
  },
};

/** Options and address. */
function setUp(fd: Operand, file: Inet, name: string, bench: Bench): Op[] {
  const { arena } = bench;
  const ops = [...testScope(fd, file, name, bench), ...setOptions(fd, file, name, arena)];
  if (!file.local) return ops;
  const label = `cannot bind ${addressText(file.local)} (${name})`;
  return [...ops, toAddress('bind', fd, file.local, arena, { label })];
}

/** The interface that a link-local address belongs to must have the same number here. */
function testScope(fd: Operand, { scope, local, peer }: Inet, name: string, { arena }: Bench): Op[] {
  if (scope === '') return [];
  const index = [local, peer].map((address) => (address ? scopeOf(address) : 0)).find((found) => found !== 0);
  const request = Buffer.alloc(40); // struct ifreq
  request.write(scope, 'latin1');
  const address = arena.bytes(request);
  const label = `cannot find network interface ${scope} (${name})`;
  return [
    call('ioctl', [fd, SIOCGIFINDEX, address], { label, text: `ioctl(${show(fd)}, SIOCGIFINDEX, ${scope})` }),
    {
      op: 'test',
      address: address + 16n,
      width: 4,
      mask: 0xffff_ffffn,
      check: { kind: 'equal', expected: index! },
      label,
      reason: `it has another number than ${index}`,
      text: `test ifreq.ifr_ifindex == ${index}`,
    },
  ];
}
