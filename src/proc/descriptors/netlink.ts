/** Sockets to the kernel: of the protocols for which the kernel keeps nothing of a socket but its groups. */
import { readFileSync } from 'node:fs';
import { AF, SO, SOL } from '../../inet.js';
import { peerName, socketName } from '../../native/inet.js';
import { getOption, integerOption, Poll, pollNow } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { Sock } from '../../socket.js';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import { captureOptions, isHere, readFresh } from './inet-options.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { netfilterTies } from './netfilter-ties.js';
import { ELSEWHERE } from './network-namespace.js';
import { once } from './once.js';
import { leaveBehind, Refusal } from './refusal.js';

type Netlink = OpenFileOf<'netlink'>;

const NETLINK_NETFILTER = 12;
/** `linux/netlink.h`. The groups of others are numbered anew at each boot, or more than groups is kept of a socket. */
const CARRIED: Readonly<Record<number, string>> = {
  0: 'NETLINK_ROUTE',
  4: 'NETLINK_SOCK_DIAG',
  6: 'NETLINK_XFRM',
  10: 'NETLINK_FIB_LOOKUP',
  [NETLINK_NETFILTER]: 'NETLINK_NETFILTER',
  15: 'NETLINK_KOBJECT_UEVENT',
};
const NETLINK_LIST_MEMBERSHIPS = 9;
/** Columns of /proc/net/netlink. */
const PROTOCOL = 1;
const INODE = 9;
/** `struct sockaddr_nl` */
const PORT = 4;
const GROUPS = 8;

/** Netlink sockets. */
export const netlink: DescriptorKind = {
  matches: ({ protocol }) => protocol === 'NETLINK',
  describe: ({ link }) => `netlink socket, ${link}`,
  problem: ({ stat }, { pid }) => {
    const line = readFileSync(`/proc/${pid}/net/netlink`, 'latin1')
      .split('\n')
      .map((text) => text.trim().split(/\s+/))
      .find((columns) => columns[INODE] === String(stat.ino));
    return line ? problemOf(Number(line[PROTOCOL])) : null;
  },
  capture: ({ entries: [entry] }, context) =>
    context.withCopy(entry!.fd, (copy) => captureSocket(entry!, copy, context)),
};

function problemOf(protocol: number): string | null {
  if (protocol in CARRIED) return null;
  return `of netlink protocols only ${Object.values(CARRIED).join(', ')} are carried, this is ${protocol}`;
}

function captureSocket(entry: Entry, copy: number, context: KindContext): Omit<Netlink, 'locks'> {
  const protocol = integerOption(copy, SO.PROTOCOL);
  const problem = problemOf(protocol);
  if (problem !== null) throw new Refusal(problem);
  const type = integerOption(copy, SO.TYPE);
  const fresh = once(context, `netlink ${type} ${protocol}`, () => readFresh(AF.NETLINK, type, protocol));
  if (!isHere(copy, fresh)) throw new Refusal(ELSEWHERE);
  const port = Buffer.from(socketName(copy)).readUInt32LE(PORT);
  if (protocol === NETLINK_NETFILTER && port !== 0) assertFree(port);
  warnOfMessages(entry, copy, context);
  const { options, filter } = captureOptions(copy, fresh, true);
  const peer = Buffer.from(peerName(copy)!);
  const isConnected = peer.readUInt32LE(PORT) !== 0 || peer.readUInt32LE(GROUPS) !== 0;
  return {
    ...{ kind: 'netlink', flags: entry.info.flags, protocol, options, filter },
    type: type === Sock.DGRAM ? 'datagram' : 'raw',
    port,
    groups: groupsOf(copy),
    peer: isConnected ? peer : null,
  };
}

/** @throws Refusal where there is more to a socket than its groups */
function assertFree(port: number): void {
  let ties: string[];
  try {
    ties = netfilterTies(port);
  } catch (error) {
    throw new Refusal(`whether queues, logs or tables are tied to it is not told here (${errnoOf(error)})`);
  }
  if (ties.length > 0) throw new Refusal(`the kernel has tied to it: ${ties.join(', ')}`);
}

/** A bit for each group. */
function groupsOf(copy: number): number[] {
  const bits = getOption(copy, SOL.NETLINK, NETLINK_LIST_MEMBERSHIPS) ?? new Uint8Array(0);
  return Array.from({ length: bits.length * 8 }, (_, bit) => bit).flatMap((bit) =>
    bits[bit >> 3]! & (1 << (bit & 7)) ? [bit + 1] : [],
  );
}

/** They tell of this machine at that time. */
function warnOfMessages({ fd, link }: Entry, copy: number, context: KindContext): void {
  const events = pollNow(copy);
  if (events & Poll.ERR) {
    leaveBehind(
      context,
      `descriptor ${fd} (netlink socket, ${link}) has lost messages, of which the program has not been told yet: it will not be`,
    );
  }
  if (events & Poll.IN) {
    leaveBehind(
      context,
      `descriptor ${fd} (netlink socket, ${link}) has messages that were not received yet: they are not carried`,
    );
  }
}
