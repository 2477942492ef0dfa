/** Sockets to the kernel. */
import { O } from '../../fcntl.js';
import { AF, SOCK, SOL } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, type Extra, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench } from './bench.js';
import { close, setFlags, settable } from './calls.js';
import type { KindPlanner } from './planner.js';
import { setOption, setOptions } from './socket-calls.js';

type Netlink = OpenFileOf<'netlink'>;

const NETLINK_ADD_MEMBERSHIP = 1;
/** `sizeof (struct sockaddr_nl)` */
const ADDRESS = 12;

/** Plans a netlink socket. */
export const netlink: KindPlanner<Netlink> = {
  make: (file, { at, closeOnExec, name }, { bench }) => {
    const label = `cannot make a netlink socket (${name})`;
    return [
      ...bench.create((close) => make(file, close ? O.CLOEXEC : 0, { label }), at, closeOnExec),
      ...setUp(at, file, name, bench),
      ...(settable(file.flags) ? [setFlags(at, file.flags, { label })] : []),
    ];
  },
  check: (file, { name }, { bench }) => {
    const cell = bench.arena.cell();
    const label = `cannot make a netlink socket (${name})`;
    return [make(file, O.CLOEXEC, { label, result: cell }), ...setUp(cell, file, name, bench), close(cell)];
  },
};

function make({ type, protocol }: Netlink, flags: number, extra: Extra): Op {
  const [number, shown] = type === 'raw' ? [SOCK.RAW, 'SOCK_RAW'] : [SOCK.DGRAM, 'SOCK_DGRAM'];
  return call('socket', [AF.NETLINK, number | flags, protocol], {
    text: `socket(AF_NETLINK, ${shown}${flags ? '|SOCK_CLOEXEC' : ''}, ${protocol})`,
    ...extra,
  });
}

function setUp(fd: Operand, file: Netlink, name: string, { arena }: Bench): Op[] {
  const { port, groups, peer } = file;
  const to = (what: 'bind' | 'connect', address: Uint8Array, label: string): Op =>
    call(what, [fd, arena.bytes(address), ADDRESS], {
      label: `${label} (${name})`,
      text: `${what}(${show(fd)}, {AF_NETLINK, 0x${Buffer.from(address.subarray(4)).toString('hex')}})`,
    });
  return [
    ...setOptions(fd, file, name, arena),
    ...(port === 0 ? [] : [to('bind', addressOf(port), `cannot bind netlink port ${port}`)]),
    ...groups.map((group) =>
      setOption(fd, SOL.NETLINK, NETLINK_ADD_MEMBERSHIP, numberOf(group), arena, {
        label: `cannot listen to netlink group ${group} (${name})`,
      }),
    ),
    ...(peer === null ? [] : [to('connect', peer, 'cannot connect a netlink socket')]),
  ];
}

function addressOf(port: number): Buffer {
  const address = Buffer.alloc(ADDRESS);
  address.writeUInt16LE(AF.NETLINK, 0);
  address.writeUInt32LE(port, 4);
  return address;
}

function numberOf(group: number): Buffer {
  const value = Buffer.alloc(4);
  value.writeUInt32LE(group);
  return value;
}
