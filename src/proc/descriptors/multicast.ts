/** The multicast groups of a socket, of which getsockopt(2) tells one at a time only. */
import { readFileSync } from 'node:fs';
import { AF, SOL } from '../../inet.js';
import { interfaceName } from '../../native/inet.js';
import { getOption } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';

const MCAST_MSFILTER = 48;
const MCAST_INCLUDE = 1;
/** `struct group_filter`: where the group and the sources stand, and the size of an address (`sockaddr_storage`). */
const HEADER = 8;
const SOURCES = 144;
const STORAGE = 128;

/** A group that some socket of this network namespace has joined. */
export interface Group {
  readonly device: number;
  /** Bytes of the address, in the network's order. */
  readonly address: Buffer;
}

type Membership = OpenFileOf<'inet'>['groups'][number];

/** The groups that a socket is a member of. */
export function captureGroups(fd: number, groups: readonly Group[]): Membership[] {
  return groups.flatMap((group) => {
    const filter = sourceFilter(fd, group);
    return filter ? [{ group: group.address, interface: interfaceName(fd, group.device), ...filter }] : [];
  });
}

/** All groups that some socket of this network namespace has joined, in an order that does not change. */
export function readGroups(): Group[] {
  return TABLES.flatMap(([path, parse]) =>
    parse(readTable(path)).sort((a, b) => a.device - b.device || Buffer.compare(a.address, b.address)),
  );
}

const TABLES = [
  ['/proc/self/net/igmp', parseIgmp],
  ['/proc/self/net/igmp6', parseIgmp6],
] as const;

/** A kernel without IPv6, or without multicast, has no such table. */
function readTable(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** An interface's line begins with its index, those of its groups with a blank and the address. */
function parseIgmp(text: string): Group[] {
  let device = 0;
  return text.split('\n').flatMap((line): Group[] => {
    const index = /^(\d+)\s/.exec(line);
    if (index) device = Number(index[1]);
    const group = /^\s+([0-9A-F]{8})\s+(\d+)\s/.exec(line);
    if (!group) return [];
    // Written as a number of this processor.
    const address = Buffer.from(group[1]!, 'hex').reverse();
    return isOfKernel(address, Number(group[2])) ? [] : [{ device, address }];
  });
}

/** `1 lo ff020000000000000000000000000001 1 0000000C 0` */
function parseIgmp6(text: string): Group[] {
  return text.split('\n').flatMap((line): Group[] => {
    const match = /^(\d+)\s+\S+\s+([0-9a-f]{32})\s+(\d+)\s/.exec(line);
    if (!match) return [];
    const address = Buffer.from(match[2]!, 'hex');
    return isOfKernel(address, Number(match[3])) ? [] : [{ device: Number(match[1]), address }];
  });
}

/** All hosts, of which the kernel itself is the one user: there is no need to ask thousands of sockets for them. */
const ALL_HOSTS = ['e0000001', 'ff010000000000000000000000000001', 'ff020000000000000000000000000001'];

function isOfKernel(address: Buffer, users: number): boolean {
  return users === 1 && ALL_HOSTS.includes(address.toString('hex'));
}

/** MCAST_MSFILTER: from whom the socket receives what is sent to a group; `null` if it is no member. */
function sourceFilter(fd: number, { device, address }: Group): Pick<Membership, 'mode' | 'sources'> | null {
  const family = address.length === 4 ? AF.INET : AF.INET6;
  const host = address.length === 4 ? 4 : 8;
  for (let room = 8; ; room = room * 4) {
    const filter = Buffer.alloc(SOURCES + room * STORAGE); // struct group_filter
    filter.writeUInt32LE(device, 0);
    filter.writeUInt16LE(family, HEADER);
    address.copy(filter, HEADER + host);
    filter.writeUInt32LE(room, SOURCES - 4);
    if (getOption(fd, family === AF.INET ? SOL.IP : SOL.IPV6, MCAST_MSFILTER, filter) === null) return null;
    // How many there are, whether they had room or not.
    const count = filter.readUInt32LE(SOURCES - 4);
    if (count > room) continue;
    const sources = Array.from({ length: count }, (_, i) => {
      const start = SOURCES + i * STORAGE + host;
      return Uint8Array.from(filter.subarray(start, start + address.length));
    });
    return { mode: filter.readUInt32LE(SOURCES - 8) === MCAST_INCLUDE ? 'include' : 'exclude', sources };
  }
}
