/** Which sockets of a process have an address in common, and could not have it by the options that they have now. */
import { onWire, SO, SOL, takeApart } from '../inet.js';
import type { OpenFile, OpenFileOf } from './descriptors.js';

type Inet = OpenFileOf<'inet'>;
type Options = Pick<Inet, 'options'>;
/** What there is to know of a socket. */
export type Sharer = Pick<
  Inet,
  'protocol' | 'local' | 'options' | 'interfaces' | 'backlog' | 'switchedOff' | 'ended' | 'connection'
>;
/** An option by which sockets share an address. */
export type Sharing = 'reuseAddress' | 'reusePort';

const IPV6_V6ONLY = 26;
const TCP_LIKE: readonly string[] = ['tcp', 'mptcp'];

/** How sockets must be bound that could not be by their own options. */
export interface Shares {
  /** By index of the file: what has to be on. */
  readonly needed: ReadonlyMap<number, ReadonlySet<Sharing>>;
  /** By index: all that have their addresses in common, itself among them, ascending. */
  readonly together: ReadonlyMap<number, readonly number[]>;
}

/** Looks through the files of a table. */
export function sharesOf(files: readonly OpenFile[]): Shares {
  const sockets = files.flatMap((file, index) =>
    file.kind === 'inet' && isBound(file) ? [{ file, index }] : [],
  );
  const ports = new Map<string, typeof sockets>();
  for (const socket of sockets) {
    const port = portOf(socket.file);
    const known = ports.get(port);
    if (known) known.push(socket);
    else ports.set(port, [socket]);
  }
  const needed = new Map<number, Set<Sharing>>();
  const together = new Map<number, number[]>();
  for (const group of ports.values()) {
    if (allShare(group.map(({ file }) => file))) continue;
    for (const [i, one] of group.entries()) {
      for (const other of group.slice(i + 1)) {
        const how = howTheyShare(one.file, other.file);
        if (how === null) continue;
        const all = new Set([one, other].flatMap(({ index }) => together.get(index) ?? [index]));
        const list = [...all].sort((a, b) => a - b);
        for (const index of list) together.set(index, list);
        for (const { index } of [one, other]) {
          needed.set(index, (needed.get(index) ?? new Set()).add(how));
        }
      }
    }
  }
  return { needed, together };
}

/** Whether all of them can share anything by their own options: of a server there may be very many. */
function allShare(sockets: readonly Sharer[]): boolean {
  if (sockets.length === 1 || sockets.every((file) => isOn(file, SO.REUSEPORT))) return true;
  const listening = sockets.filter(({ backlog }) => backlog !== null);
  return listening.length < 2 && sockets.every((file) => isOn(file, SO.REUSEADDR));
}

/** How two sockets have come to share their address, if not by the options that they have now; else `null`. */
export function howTheyShare(one: Sharer, other: Sharer): Sharing | null {
  if (!isBound(one) || !isBound(other) || portOf(one) !== portOf(other)) return null;
  if (areApart(one, other) || !haveCommonHost(one, other)) return null;
  const bothListen = one.backlog !== null && other.backlog !== null;
  if (isOn(one, SO.REUSEPORT) && isOn(other, SO.REUSEPORT)) return null;
  if (isOn(one, SO.REUSEADDR) && isOn(other, SO.REUSEADDR) && !bothListen) return null;
  const byPort = [one, other].every(
    (file) => isOn(file, SO.REUSEPORT) || file.switchedOff.includes('reusePort'),
  );
  return byPort || bothListen ? 'reusePort' : 'reuseAddress';
}

/** Whether a flag of SOL_SOCKET is on. */
export function isOn({ options }: Options, flag: number): boolean {
  const found = options.find(({ level, option }) => level === SOL.SOCKET && option === flag);
  return found?.value.some((byte) => byte !== 0) ?? false;
}

/** Whether it has a port that others could want. Connections are bound with no regard to others. */
function isBound({ protocol, local, ended, connection }: Sharer): boolean {
  if (local === null || ended !== null || connection !== null || protocol === 'raw') return false;
  return takeApart(local).port !== 0;
}

/** Protocol and port. */
function portOf({ protocol, local }: Sharer): string {
  return `${TCP_LIKE.includes(protocol) ? 'tcp' : protocol} ${takeApart(local!).port}`;
}

/** Whether each of them is bound to an interface of its own. */
function areApart(one: Options, other: Options): boolean {
  const [first, second] = [one, other].map(
    ({ options }) =>
      options.find(({ level, option }) => level === SOL.SOCKET && option === SO.BINDTODEVICE)?.value,
  );
  return first !== undefined && second !== undefined && Buffer.compare(first, second) !== 0;
}

/** Whether something sent to one address could be for either. */
function haveCommonHost(one: Sharer, other: Sharer): boolean {
  const [first, second] = [one, other].map(({ local }) => onWire(takeApart(local!).host)) as [
    Uint8Array,
    Uint8Array,
  ];
  if (first.length === second.length)
    return isAny(first) || isAny(second) || Buffer.compare(first, second) === 0;
  const six = first.length === 16 ? one : other;
  const host = first.length === 16 ? first : second;
  const only = six.options.find(({ level, option }) => level === SOL.IPV6 && option === IPV6_V6ONLY);
  return isAny(host) && !only?.value.some((byte) => byte !== 0);
}

function isAny(host: Uint8Array): boolean {
  return host.every((byte) => byte === 0);
}
