/** IPv4 and IPv6 sockets: TCP, UDP and UDP-Lite. */
import { readFileSync, readlinkSync } from 'node:fs';
import { addressText, isSet, type Protocol, scopeOf } from '../../inet.js';
import {
  getOption,
  interfaceName,
  peekBytes,
  peerName,
  socketName,
  tcpInfo,
  unconfirmed,
} from '../../native/inet.js';
import { Poll, pollNow } from '../../native/sockets.js';
import { fionread } from '../../native/syscalls.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { Entry } from './entries.js';
import { captureOptions, type Fresh, isHere, readFresh } from './inet-options.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { multicastGroup } from './multicast.js';
import { Refusal } from './refusal.js';

/** `net/tcp_states.h` */
const TCP = { SYN_SENT: 2, CLOSE: 7, LISTEN: 10 } as const;
/** Columns of /proc/net/tcp. */
const STATE = 3;
const INODE = 9;
const ELSEWHERE = 'it belongs to another network namespace, which is not carried';

type Inet = OpenFileOf<'inet'>;
type Connection = Pick<Inet, 'ended' | 'input'>;

/** TCP, UDP and UDP-Lite sockets. */
export const inet: DescriptorKind = {
  matches: ({ protocol }) => protocolOf(protocol) !== null,
  describe: ({ protocol, link }) => `${protocol} socket, ${link}`,
  problem: (entry, { pid, choices }) => {
    if (networkOf(String(pid)) !== networkOf('self')) return ELSEWHERE;
    return choices.tcp === 'keep' && isConnected(entry)
      ? 'keeping connections (--tcp keep) is not carried yet, --tcp close is'
      : null;
  },
  capture: ({ entries: [entry] }, context) =>
    context.withCopy(entry!.fd, (copy) => captureSocket(entry!, copy, context)),
};

/** Family and protocol behind the kernel's name of the latter; `null` for others. */
function protocolOf(name: string | null): Pick<Inet, 'family' | 'protocol'> | null {
  const match = /^(TCP|UDP|UDPLITE|UDP-Lite)(v6)?$/.exec(name ?? '');
  if (!match) return null;
  const protocol = match[1]!.toLowerCase().replace('-', '') as Protocol;
  return { family: match[2] ? 'ipv6' : 'ipv4', protocol };
}

/** `net:[4026531840]`; empty for a process that has ended meanwhile. */
function networkOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return '';
  }
}

/** Whether a TCP socket has a connection, or is about to: those and the listening ones have a line in these tables. */
function isConnected({ protocol, stat }: Entry): boolean {
  if (protocolOf(protocol)?.protocol !== 'tcp') return false;
  const table = readFileSync(`/proc/self/net/${protocol === 'TCP' ? 'tcp' : 'tcp6'}`, 'latin1');
  return table.split('\n').some((line) => {
    const columns = line.trim().split(/\s+/);
    return columns[INODE] === String(stat.ino) && Number.parseInt(columns[STATE]!, 16) !== TCP.LISTEN;
  });
}

function captureSocket(entry: Entry, copy: number, context: KindContext): Omit<Inet, 'locks'> {
  const { family, protocol } = protocolOf(entry.protocol)!;
  const fresh = freshOf(family, protocol, context);
  if (!isHere(copy, fresh)) throw new Refusal(ELSEWHERE);
  const name = socketName(copy);
  const peer = peerName(copy);
  const common = {
    ...{ kind: 'inet' as const, flags: entry.info.flags, family, protocol },
    local: isSet(name) ? name : null,
    scope: scopeName(copy, name, peer),
  };
  if (protocol !== 'tcp') {
    requireQuiet(copy);
    warnOfDatagrams(entry.fd, copy, context);
    const options = captureOptions(copy, fresh, true);
    return { ...common, peer, backlog: null, ended: null, input: new Uint8Array(0), options };
  }
  const { state, waiting, backlog } = tcpInfo(copy);
  if (state === TCP.LISTEN && waiting > 0) {
    context.warnings.push(
      `descriptor ${entry.fd} (TCP, ${entry.link}): ${waiting} connections to ${addressText(name)} that were not accepted yet are not carried`,
    );
  }
  const connection = captureConnection(entry, copy, state, context);
  return {
    ...{ ...common, ...connection, peer: null },
    ...(connection.ended === null ? {} : { local: null, scope: '' }),
    backlog: state === TCP.LISTEN ? backlog : null,
    options: captureOptions(copy, fresh, connection.ended === null),
  };
}

/** New sockets that were looked at already, by family and protocol. */
const looked = new WeakMap<KindContext, Map<string, Fresh>>();

function freshOf(family: Inet['family'], protocol: Protocol, context: KindContext): Fresh {
  const known = looked.get(context) ?? new Map<string, Fresh>();
  looked.set(context, known);
  const key = `${family} ${protocol}`;
  const fresh = known.get(key) ?? readFresh(family, protocol);
  known.set(key, fresh);
  return fresh;
}

/** @throws Refusal for what a UDP socket may be besides bound and connected */
function requireQuiet(copy: number): void {
  const group = multicastGroup(copy);
  if (group !== null) {
    throw new Refusal(`it is a member of the multicast group ${group}, which is not carried`);
  }
  if (pollNow(copy) & Poll.RDHUP) throw new Refusal('it was shut down, which is not carried');
}

function scopeName(copy: number, name: Uint8Array, peer: Uint8Array | null): string {
  const indexes = new Set([name, ...(peer ? [peer] : [])].map(scopeOf).filter((index) => index !== 0));
  if (indexes.size > 1) throw new Refusal('its addresses are of different interfaces, which is not carried');
  const [index] = indexes;
  return index === undefined ? '' : interfaceName(copy, index);
}

/** The queue cannot be read beyond its first datagram without taking that away. */
function warnOfDatagrams(fd: number, copy: number, { warnings }: KindContext): void {
  if (!(pollNow(copy) & Poll.IN)) return;
  warnings.push(
    `descriptor ${fd} (UDP socket) has datagrams that were not received yet: they are not carried`,
  );
}

/** What the resumed program will find of a TCP connection. */
function captureConnection(
  { fd, link }: Entry,
  copy: number,
  state: number,
  { warnings }: KindContext,
): Connection {
  const none = new Uint8Array(0);
  if (state === TCP.LISTEN) return { ended: null, input: none };
  const events = pollNow(copy);
  if (state === TCP.CLOSE) {
    if (!(events & Poll.RDHUP)) return { ended: null, input: none };
    const { hadPeer } = tcpInfo(copy);
    if (!hadPeer) return { ended: events & Poll.ERR ? 'refused' : 'failed', input: none };
    const input = unread(copy);
    return { ended: events & Poll.ERR && input.length === 0 ? 'reset' : 'closed', input };
  }
  const peer = peerName(copy);
  const between = `${addressText(socketName(copy))} to ${peer ? addressText(peer) : 'its peer'}`;
  const what = `descriptor ${fd} (TCP, ${link}): the connection from ${between}`;
  if (state === TCP.SYN_SENT) {
    warnings.push(`${what}, which is being made, is not carried: the resumed program will find it refused`);
    return { ended: 'refused', input: none };
  }
  const lost = unconfirmed(copy);
  warnings.push(
    `${what} is not carried: the resumed program will find it closed by its peer` +
      (lost > 0 ? `, with ${lost} bytes that may not have arrived there` : ''),
  );
  return { ended: 'closed', input: unread(copy) };
}

/** What can still be read. */
function unread(copy: number): Uint8Array {
  const peekOffset = getOption(copy, 1, 42, 4); // SO_PEEK_OFF, which a look would move on
  if (peekOffset && Buffer.from(peekOffset).readInt32LE(0) >= 0) {
    throw new Refusal('its option SO_PEEK_OFF is not carried');
  }
  const size = fionread(copy);
  return size > 0 ? peekBytes(copy, size) : new Uint8Array(0);
}
