/**
 * Sockets of networks that a process shares with others that stay behind: by fork(2), or as whoever started it has
 * bound them. An image could not bind the address while they live, or would take part of what comes from them.
 */
import { addressText, isBound } from '../inet.js';
import { isPortGivenBack, socketName, tcpInfo } from '../native/inet.js';
import { TCP } from '../tcp.js';
import type { DescriptorChoices } from './descriptors/choices.js';
import { withDuplicateOf } from './descriptors/duplicate.js';
import { type Entry, nameOf as nameOfEntry, readEntries } from './descriptors/entries.js';
import type { OthersDescriptors } from './descriptors/holders.js';
import { refusalOf } from './descriptors/refusal.js';
import { nameOf } from './descriptors/threads.js';
import { descriptorsOf, outsiders } from './outsiders.js';
import { unlessRefused } from './read.js';

const PROTOCOL = /^(TCP|MPTCP|UDP|UDPLITE|UDP-Lite|PING|RAW|PACKET|NETLINK)(v6)?$/;
/** Of `struct sockaddr_nl`. */
const NETLINK_PORT = 4;
/** What of a socket is there once. */
type Held = (copy: number) => string | null;
const ALL: Held = () => 'what comes in';
const BOUND: Held = (copy) => {
  const name = socketName(copy);
  return isBound(name, 'udp') ? `the address ${addressText(name)}` : null;
};
const TABLE: Readonly<Record<string, Held>> = {
  TCP: heldByTcp,
  MPTCP: heldByTcp,
  RAW: ALL,
  PACKET: ALL,
  NETLINK: (copy) => {
    const port = Buffer.from(socketName(copy)).readUInt32LE(NETLINK_PORT);
    return port === 0 ? null : `the netlink port ${port}`;
  },
};

/**
 * A line for each that listens, is bound, or receives. Processes that may not be looked at count as sharing nothing.
 * Reads without a stop.
 */
export function surveySharedSockets(
  pid: number,
  { drop, replace, inherit }: Pick<DescriptorChoices, 'drop' | 'replace' | 'inherit'>,
): string[] {
  const own = readEntries(pid).filter(
    (entry) => isOfNetwork(entry) && !drop.has(entry.fd) && !replace.has(entry.fd) && !inherit.has(entry.fd),
  );
  if (own.length === 0) return [];
  const links = linksOf(own);
  const holders = new Map<string, number>();
  // Children, too, whatever becomes of them: while they live they have the address.
  for (const other of outsiders(pid)) {
    for (const { link } of descriptorsOf(other)) if (links.has(link)) holders.set(link, other);
  }
  return own.flatMap((entry) => problem(entry, holders, () => withDuplicateOf(pid, entry.fd, heldOf(entry))));
}

/**
 * The same for what is on its way in Unix domain sockets, which is seen only while the process is stopped.
 * @param others what all other processes have open
 */
export function surveySharedSocketsInFlight(entries: readonly Entry[], others: OthersDescriptors): string[] {
  const sent = entries.filter(isOfNetwork);
  const { held } = others.findLinks(linksOf(sent));
  return sent.flatMap((entry) => problem(entry, held, () => heldOf(entry)(entry.flight!.copy)));
}

function isOfNetwork({ protocol }: Entry): boolean {
  return PROTOCOL.test(protocol ?? '');
}

function linksOf(entries: readonly Entry[]): Set<string> {
  return new Set(entries.map(({ link }) => link));
}

/** @param look what of it is there once */
function problem(entry: Entry, holders: ReadonlyMap<string, number>, look: () => string | null): string[] {
  const { fd, flight, link, protocol } = entry;
  const holder = holders.get(link);
  const what = holder === undefined ? null : unlessRefused(look, null);
  if (what === null) return [];
  const why = `process ${nameOf(holder!)} has it open, too, stays behind, and keeps ${what}`;
  return [refusalOf(flight?.carrier ?? fd, `${protocol} socket, ${link}`, why, [], nameOfEntry(entry))];
}

function heldOf({ protocol }: Entry): Held {
  return TABLE[PROTOCOL.exec(protocol!)![1]!] ?? BOUND;
}

/** Connections are closed in the image, or looked at with `--tcp keep`. */
function heldByTcp(copy: number): string | null {
  const { state } = tcpInfo(copy);
  if (state === TCP.LISTEN) return BOUND(copy);
  return state === TCP.CLOSE && !isPortGivenBack(copy) ? BOUND(copy) : null;
}
