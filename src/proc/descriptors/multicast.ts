/** Whether a socket is a member of a multicast group, which getsockopt(2) tells of one group at a time only. */
import { readFileSync } from 'node:fs';
import { AF, SOL } from '../../inet.js';
import { getOption } from '../../native/inet.js';

const MCAST_MSFILTER = 48;
/** `struct group_filter` without sources; up to the group, and in all. */
const HEADER = 8;
const SIZE = 144;

/** A group that some socket of this network namespace has joined. */
interface Group {
  readonly device: number;
  /** Bytes of the address, in the network's order. */
  readonly address: Buffer;
}

/** The first group that a socket is found in, as the kernel writes it; `null` for none. */
export function multicastGroup(fd: number): string | null {
  for (const [path, parse, level] of TABLES) {
    for (const { device, address } of parse(readTable(path))) {
      if (isMember(fd, level, device, address)) return addressName(address);
    }
  }
  return null;
}

const TABLES = [
  ['/proc/self/net/igmp', parseIgmp, SOL.IP],
  ['/proc/self/net/igmp6', parseIgmp6, SOL.IPV6],
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
    const group = /^\s+([0-9A-F]{8})\s/.exec(line);
    if (!group) return [];
    // Written as a number of this processor.
    return [{ device, address: Buffer.from(group[1]!, 'hex').reverse() }];
  });
}

/** `1 lo ff020000000000000000000000000001 1 0000000C 0` */
function parseIgmp6(text: string): Group[] {
  return text.split('\n').flatMap((line): Group[] => {
    const match = /^(\d+)\s+\S+\s+([0-9a-f]{32})\s/.exec(line);
    return match ? [{ device: Number(match[1]), address: Buffer.from(match[2]!, 'hex') }] : [];
  });
}

function isMember(fd: number, level: number, device: number, address: Buffer): boolean {
  const filter = Buffer.alloc(SIZE);
  filter.writeUInt32LE(device, 0);
  filter.writeUInt16LE(address.length === 4 ? AF.INET : AF.INET6, HEADER);
  address.copy(filter, HEADER + (address.length === 4 ? 4 : 8));
  return getOption(fd, level, MCAST_MSFILTER, filter) !== null;
}

function addressName(address: Buffer): string {
  return address.length === 4 ? address.join('.') : (address.toString('hex').match(/.{4}/g) ?? []).join(':');
}
