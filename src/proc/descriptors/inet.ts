/** IPv4 and IPv6 sockets: TCP, MPTCP, UDP, UDP-Lite, raw, and those of ICMP's echo. */
import { constants } from 'node:os';
import { addressText, isBound, type Making, type Protocol, SO, scopeOf } from '../../inet.js';
import { lookInto } from '../../kernel/open.js';
import { sockOf } from '../../kernel/sockets.js';
import {
  interfaceName,
  isPortGivenBack,
  peerName,
  socketName,
  tcpInfo,
  unconfirmed,
} from '../../native/inet.js';
import { ANY_STATE, IDLE_STATES } from '../../native/inet-diag.js';
import { integerOption, Poll, pollNow } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { isEnded, KEPT_STATES, TCP } from '../../tcp.js';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import { captureBinding, chosenOfConnection, warnOfSharing } from './inet-binding.js';
import { captureCorked } from './inet-cork.js';
import { captureOptions, type Fresh, isHere, readFreshInet } from './inet-options.js';
import { captureDatagrams } from './inet-queue.js';
import { connectedTo, factsOf, findLine, stateOf } from './inet-tables.js';
import { warnOfDistribution, warnOfHidden, warnOfInterface } from './inet-unseen.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { captureGroups, readGroups } from './multicast.js';
import { routerProblem } from './multicast-router.js';
import { ELSEWHERE, elsewhereProblem } from './network-namespace.js';
import { once } from './once.js';
import { leaveBehind, PassingRefusal, Refusal } from './refusal.js';
import type { Target } from './target.js';
import { captureConnection as captureKept, URGENT } from './tcp-connections.js';
import { endsOf } from './tcp-hold.js';
import { captureKeys } from './tcp-keys.js';
import { dropLeftSegment } from './tcp-segment.js';
import { captureUnread } from './tcp-unread.js';

type Inet = OpenFileOf<'inet'>;
type Connection = Pick<Inet, 'ended' | 'input' | 'urgent' | 'letGo'>;

const ERRORS = constants.errno;

/** Of a connection of which nothing can be read. */
const UNREAD = { input: new Uint8Array(0), urgent: null } as const;

/** IPv4 and IPv6 sockets. */
export const inet: DescriptorKind = {
  matches: ({ protocol }) => protocolOf(protocol) !== null,
  describe: ({ protocol, link }) => `${protocol} socket, ${link}`,
  problem: (entry, target) => {
    const elsewhere = elsewhereProblem(target.pid);
    if (elsewhere !== null) return elsewhere;
    return target.choices.tcp === 'keep' ? keepProblem(entry, target) : null;
  },
  capture: ({ entries: [entry] }, context) =>
    context.withCopy(entry!.fd, (copy) => captureSocket(entry!, copy, context)),
};

/** Family and protocol behind the kernel's name of the latter; `null` for others. */
function protocolOf(name: string | null): Pick<Making, 'family' | 'protocol'> | null {
  const match = /^(TCP|MPTCP|UDP|UDPLITE|UDP-Lite|PING|RAW)(v6)?$/.exec(name ?? '');
  if (!match) return null;
  const protocol = match[1]!.toLowerCase().replace('-', '') as Protocol;
  return { family: match[2] ? 'ipv6' : 'ipv4', protocol };
}

/** Why `--tcp keep` does not work for a socket. */
function keepProblem(entry: Entry, target: Target): string | null {
  const state = connectionState(entry, target);
  if (state === undefined || state === TCP.LISTEN) return null;
  if (!KEPT_STATES.some(([kept]) => kept === state)) {
    return 'its connection is being accepted (SYN_RECV), which --tcp keep does not carry';
  }
  const elsewhere = target.heldElsewhere(entry);
  if (elsewhere === false) return null;
  return elsewhere
    ? 'another process has its connection open, too, so that --tcp keep cannot carry it (--tcp close can)'
    : 'another process may have its connection open, too (not all can be looked at): --tcp keep cannot carry it (--tcp close can)';
}

/** The state of a TCP socket; `undefined` where it is in no table, having neither a connection nor a queue of them. */
function connectionState({ protocol, stat }: Entry, target: Target): number | undefined {
  if (protocolOf(protocol)?.protocol !== 'tcp') return undefined;
  const line = findLine(target, protocol === 'TCP' ? 'tcp' : 'tcp6', stat.ino);
  return line && stateOf(line);
}

function captureSocket(entry: Entry, copy: number, context: KindContext): Omit<Inet, 'locks'> {
  const { family, protocol } = protocolOf(entry.protocol)!;
  const number = protocol === 'raw' ? integerOption(copy, SO.PROTOCOL) : 0;
  const making = { family, protocol, number };
  const routes = routerProblem(making);
  if (routes !== null) throw new Refusal(routes);
  const fresh = freshOf(making, context);
  if (!isHere(copy, fresh)) throw new Refusal(ELSEWHERE);
  const name = socketName(copy);
  const peer = peerName(copy) ?? connectedTo(entry, making, copy, context);
  const common = {
    ...{ kind: 'inet' as const, flags: entry.info.flags, ...making },
    local: localOf(copy, name, protocol),
    scope: scopeName(copy, name, peer),
    connection: null,
  };
  if (common.local) warnOfDistribution(entry, copy, common.local, context);
  if (protocol !== 'tcp' && protocol !== 'mptcp') {
    const corked = captureCorked(entry, copy, { ...making, local: common.local, peer }, fresh, context);
    const groups = captureGroups(copy, once(context, 'groups', readGroups));
    const options = captureOptions(copy, fresh, true);
    const datagrams = captureDatagrams(entry, copy, making, context);
    warnOfInterface(entry, copy, { ...options, groups, family }, context);
    const sock = sockBehind(copy);
    warnOfHidden(entry, sock, making, context);
    const binding = captureBinding(copy, sock, making, { local: common.local, peer });
    const rest = { backlog: null, ended: null, ...UNREAD };
    const shutdown = shutdownOf(entry, making, context);
    const file = { ...common, ...rest, peer, keys: [], ...options, ...binding, groups };
    warnOfSharing(entry, file, context);
    return { ...file, shutdown, datagrams, corked };
  }
  const { state, waiting, backlog, hadPeer } = tcpInfo(copy);
  if (protocol === 'mptcp' && state !== TCP.LISTEN && (state !== TCP.CLOSE || hadPeer)) {
    throw new Refusal('it has a connection, and of those only TCP is carried, not MPTCP');
  }
  if (state === TCP.LISTEN && waiting > 0) {
    leaveBehind(
      context,
      `descriptor ${entry.fd} (TCP, ${entry.link}): ${waiting} connections to ${addressText(name)} that were not accepted yet are not carried`,
    );
  }
  if (context.repair && state !== TCP.LISTEN && state !== TCP.CLOSE) {
    const options = captureOptions(copy, fresh, false, false);
    const keys = captureKeys(
      entry,
      copy,
      { making, fresh, ...options, states: ANY_STATE, told: true },
      context,
    );
    const warn = (what: string) =>
      context.warnings.push(`descriptor ${entry.fd} (TCP, ${entry.link}): its connection ${what}`);
    const { input, urgent } = captureUnread(entry, copy, making, state, context);
    if (urgent) throw new PassingRefusal(URGENT);
    warnOfHidden(entry, sockBehind(copy), making, context);
    const connection = captureKept(entry, copy, input, context.repair, warn);
    const none = { local: null, peer: null, backlog: null, ended: null, ...UNREAD };
    const idle = { groups: [], shutdown: 0, datagrams: [], corked: null };
    const binding = { switchedOff: [], chosen: chosenOfConnection(copy, making, connection.local) };
    return { ...common, ...none, ...idle, connection, keys, ...options, ...binding };
  }
  const connection = captureConnection(entry, copy, making, state, context);
  const options = captureOptions(copy, fresh, connection.ended === null);
  const sock = connection.ended === null ? sockBehind(copy) : null;
  warnOfHidden(entry, sock, making, context);
  if (protocol === 'tcp') dropLeftSegment(entry, copy, options.options, context);
  // Of a connection that ends here they sign nothing any more.
  const hasKeys = protocol === 'tcp' && connection.ended === null;
  const about = { making, fresh, ...options, states: IDLE_STATES, told: state === TCP.LISTEN };
  const keys = hasKeys ? captureKeys(entry, copy, about, context) : [];
  return {
    ...{ ...common, ...connection, peer: null },
    ...(connection.ended === null
      ? captureBinding(copy, sock, making, { local: common.local, peer: null })
      : { local: null, scope: '', switchedOff: [], chosen: [] }),
    backlog: state === TCP.LISTEN ? backlog : null,
    keys,
    ...options,
    ...{ groups: [], shutdown: 0, datagrams: [], corked: null },
  };
}

/** Address of the `struct sock` behind a duplicate; `null` where the kernel shows nothing. There may be very many. */
function sockBehind(copy: number): bigint | null {
  return lookInto<bigint | null>(
    (kernel) => sockOf(kernel, copy),
    () => null,
  );
}

function freshOf(making: Making, context: KindContext): Fresh {
  const { family, protocol, number } = making;
  return once(context, `fresh ${family} ${protocol} ${number}`, () => {
    try {
      return readFreshInet(making);
    } catch (error) {
      throw new Refusal(
        `its options are compared with those of a new one, which this user may not make (${errnoOf(error)})`,
      );
    }
  });
}

/** Where a socket is bound; port 0: to the address alone. */
function localOf(copy: number, name: Uint8Array, protocol: Protocol): Uint8Array | null {
  if (protocol === 'tcp' && isPortGivenBack(copy)) {
    const host = Uint8Array.from(name);
    host.set([0, 0], 2);
    return isBound(host, protocol) ? host : null;
  }
  return isBound(name, protocol) ? name : null;
}

/** `net/sock.h`: what shutdown(2) has done. The kernel lists no others than those of UDP. */
function shutdownOf(entry: Entry, making: Making, context: KindContext): number {
  if (making.protocol === 'ping' || making.protocol === 'raw') {
    const down = context.withCopy(entry.fd, pollNow) & Poll.RDHUP;
    if (down) throw new Refusal('it was shut down, which is not carried');
    return 0;
  }
  return factsOf(entry, making, ANY_STATE, context)?.shutdown ?? 0;
}

function scopeName(copy: number, name: Uint8Array, peer: Uint8Array | null): string {
  const indexes = new Set([name, ...(peer ? [peer] : [])].map(scopeOf).filter((index) => index !== 0));
  if (indexes.size > 1) throw new Refusal('its addresses are of different interfaces, which is not carried');
  const [index] = indexes;
  return index === undefined ? '' : interfaceName(copy, index);
}

/** What the resumed program will find of a TCP connection. */
function captureConnection(
  entry: Entry,
  copy: number,
  making: Making,
  state: number,
  context: KindContext,
): Connection {
  const { fd, link } = entry;
  const { warnings } = context;
  if (state === TCP.LISTEN) return { ended: null, ...UNREAD };
  const events = pollNow(copy);
  if (state === TCP.CLOSE) {
    if (!(events & Poll.RDHUP)) return { ended: null, ...UNREAD };
    const { hadPeer } = tcpInfo(copy);
    if (!hadPeer) return { ended: events & Poll.ERR ? 'refused' : 'failed', ...UNREAD };
    const unread = captureUnread(entry, copy, making, state, context);
    if (!(events & Poll.ERR)) return { ended: 'closed', ...unread };
    if (unread.urgent) throw new Refusal('its connection was broken off with urgent data in it');
    warnOfError(copy, `descriptor ${fd} (TCP, ${link})`, warnings);
    return { ended: 'reset', ...unread };
  }
  const peer = endsOf(copy)?.peer;
  const between = `${addressText(socketName(copy))} to ${peer ? addressText(peer) : 'its peer'}`;
  const what = `descriptor ${fd} (TCP, ${link}): the connection from ${between}`;
  if (state === TCP.SYN_SENT) {
    warnings.push(notMadeLine(what));
    return { ended: 'refused', ...UNREAD, letGo: true };
  }
  const pending = unconfirmed(copy);
  // The end of its stream, which is counted, too, is no byte.
  const end = pending > 0 && KEPT_STATES.some(([number, name]) => number === state && isEnded(name));
  warnings.push(closedLine(what, pending - Number(end)));
  return { ended: 'closed', ...captureUnread(entry, copy, making, state, context), letGo: true };
}

/** Reading the error takes it; whoever may look into the kernel sees whether it is the one that can be made again. */
function warnOfError(copy: number, what: string, warnings: string[]): void {
  const error = lookInto(
    (kernel) => Number(kernel.member('sock', sockOf(kernel, copy), 'sk_err')),
    () => 0,
  );
  if (error === 0 || error === ERRORS.ECONNRESET) return;
  const name = Object.entries(ERRORS).find(([, number]) => number === error)?.[0] ?? String(error);
  warnings.push(`${what}: its connection was broken off by ${name}, and is found so by ECONNRESET`);
}

/** Says that an attempt to connect is not carried. @param what `descriptor 5 (TCP): the connection from ...` */
export function notMadeLine(what: string): string {
  return `${what}, which is being made, is not carried: the resumed program will find it refused`;
}

/** Says that a connection is not carried. @param lost bytes that the peer has not confirmed */
export function closedLine(what: string, lost: number): string {
  return (
    `${what} is not carried: the resumed program will find it closed by its peer` +
    (lost > 0 ? `, with ${lost} bytes that may not have arrived there` : '')
  );
}
