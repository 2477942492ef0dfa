/** Multicast groups of sockets. */
import { AF, SOL } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench } from './bench.js';
import { findInterface, storeIndex } from './interfaces.js';

/** `linux/in.h` */
const MCAST = { JOIN_GROUP: 42, BLOCK_SOURCE: 43, JOIN_SOURCE_GROUP: 46 } as const;
/** `struct group_source_req`, of which `struct group_req` is the first half: interface, group, source. */
const GROUP = 8;
const SOURCE = 136;
const SIZE = 264;

type Membership = OpenFileOf<'inet'>['groups'][number];

/** Joins the groups. */
export function joinGroups(fd: Operand, groups: readonly Membership[], name: string, bench: Bench): Op[] {
  return groups.flatMap((membership) => join(fd, membership, name, bench));
}

function join(
  fd: Operand,
  { group, interface: device, mode, sources }: Membership,
  name: string,
  bench: Bench,
): Op[] {
  const found = findInterface(fd, device, name, bench);
  const ask = (what: keyof typeof MCAST, source?: Uint8Array): Op[] => {
    const request = bench.arena.bytes(requestOf(group, source));
    const size = source ? SIZE : SOURCE;
    return [
      ...storeIndex(found, request),
      call('setsockopt', [fd, group.length === 4 ? SOL.IP : SOL.IPV6, MCAST[what], request, size], {
        label: `cannot join the multicast group ${textOf(group)} on ${device} (${name})`,
        text: `setsockopt(${show(fd)}, MCAST_${what}, ${textOf(group)} on ${device}${source ? `, ${textOf(source)}` : ''})`,
      }),
    ];
  };
  return [
    ...found.ops,
    ...(mode === 'exclude' ? ask('JOIN_GROUP') : []),
    ...sources.flatMap((source) => ask(mode === 'exclude' ? 'BLOCK_SOURCE' : 'JOIN_SOURCE_GROUP', source)),
  ];
}

function requestOf(group: Uint8Array, source: Uint8Array | undefined): Buffer {
  const request = Buffer.alloc(SIZE);
  const put = (at: number, address: Uint8Array): void => {
    request.writeUInt16LE(address.length === 4 ? AF.INET : AF.INET6, at);
    request.set(address, at + (address.length === 4 ? 4 : 8));
  };
  put(GROUP, group);
  if (source) put(SOURCE, source);
  return request;
}

function textOf(address: Uint8Array): string {
  return address.length === 4
    ? address.join('.')
    : Buffer.from(address)
        .toString('hex')
        .replace(/.{4}(?=.)/g, '$&:');
}
