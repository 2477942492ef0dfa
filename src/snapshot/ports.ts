/** Sockets by their ports: which of them could not have an address in common by the options that they have now. */
import { onWire, SO, SOL, takeApart } from '../inet.js';
import type { OpenFileOf } from './descriptors.js';

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
/** All hosts of IPv4, and all of IPv6, in hexadecimal. */
const [ANY_FOUR, ANY_SIX] = ['0'.repeat(8), '0'.repeat(32)] as const;
const ANY: readonly string[] = [ANY_FOUR, ANY_SIX];

/** What of a socket decides with which others it shares an address. */
interface Nature {
  /** Protocol and port. */
  readonly port: string;
  /** As packets bear it, in hexadecimal. */
  readonly host: string;
  /** Whether it hears IPv6 alone. */
  readonly sixOnly: boolean;
  /** The interface that it is bound to, in hexadecimal; `null` for all. */
  readonly device: string | null;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  /** Whether SO_REUSEPORT is on, or was. */
  readonly onePort: boolean;
  readonly listens: boolean;
}

/** Sockets that are of one nature. */
export interface Alike extends Nature {
  /** The numbers by which they were added. */
  readonly members: number[];
}

/** A server may have very many sockets: those of one nature are looked at once, and different hosts never meet. */
export class Ports {
  /** By port, host, and nature. */
  readonly #ports = new Map<string, Map<string, Map<string, Alike>>>();

  /** Adds a socket. Returns those that are like it; `null` where it has no port that others could want. */
  add(file: Sharer, number: number): Alike | null {
    if (!isBound(file)) return null;
    const nature = natureOf(file);
    const hosts = entryOf(this.#ports, nature.port, () => new Map<string, Map<string, Alike>>());
    const here = entryOf(hosts, nature.host, () => new Map<string, Alike>());
    const alike = entryOf(here, JSON.stringify(nature), () => ({ ...nature, members: [] }));
    alike.members.push(number);
    return alike;
  }

  /** All that were added. */
  *all(): Generator<Alike> {
    for (const hosts of this.#ports.values()) {
      for (const here of hosts.values()) yield* here.values();
    }
  }

  /** With which sockets some share an address, and how, if not by the options that they have now. */
  *sharing(some: Alike): Generator<{ readonly other: Alike; readonly how: Sharing }> {
    const hosts = this.#ports.get(some.port)!;
    const near = ANY.includes(some.host) ? hosts.keys() : [some.host, ...ANY];
    for (const host of near) {
      for (const other of hosts.get(host)?.values() ?? []) {
        const isAlone = other === some && some.members.length === 1;
        const how = isAlone ? null : howTheyShare(some, other);
        if (how !== null) yield { other, how };
      }
    }
  }
}

/** What a map has under a key, which is made where there is nothing. */
export function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** Whether a flag of SOL_SOCKET is on. */
export function isOn(file: Options, flag: number): boolean {
  return optionOf(file, SOL.SOCKET, flag)?.some((byte) => byte !== 0) ?? false;
}

function optionOf({ options }: Options, level: number, option: number): Uint8Array | undefined {
  return options.find((one) => one.level === level && one.option === option)?.value;
}

/** Whether it has a port that others could want. Connections are bound with no regard to others. */
function isBound({ protocol, local, ended, connection }: Sharer): boolean {
  if (local === null || ended !== null || connection !== null || protocol === 'raw') return false;
  return takeApart(local).port !== 0;
}

function natureOf(file: Sharer): Nature {
  const { host, port } = takeApart(file.local!);
  const device = optionOf(file, SOL.SOCKET, SO.BINDTODEVICE);
  const reusePort = isOn(file, SO.REUSEPORT);
  return {
    port: `${TCP_LIKE.includes(file.protocol) ? 'tcp' : file.protocol} ${port}`,
    host: Buffer.from(onWire(host)).toString('hex'),
    sixOnly: optionOf(file, SOL.IPV6, IPV6_V6ONLY)?.some((byte) => byte !== 0) ?? false,
    device: device === undefined ? null : Buffer.from(device).toString('hex'),
    ...{ reuseAddress: isOn(file, SO.REUSEADDR), reusePort },
    onePort: reusePort || file.switchedOff.includes('reusePort'),
    listens: file.backlog !== null,
  };
}

/** How two sockets at one port have come to share their address, if not by the options that they have now; else `null`. */
function howTheyShare(one: Nature, other: Nature): Sharing | null {
  // Each may be bound to an interface of its own.
  if (one.device !== null && other.device !== null && one.device !== other.device) return null;
  if (!haveCommonHost(one, other)) return null;
  const bothListen = one.listens && other.listens;
  if (one.reusePort && other.reusePort) return null;
  if (one.reuseAddress && other.reuseAddress && !bothListen) return null;
  return (one.onePort && other.onePort) || bothListen ? 'reusePort' : 'reuseAddress';
}

/** Whether something sent to one address could be for either. */
function haveCommonHost(one: Nature, other: Nature): boolean {
  if (one.host.length === other.host.length) {
    return one.host === other.host || ANY.includes(one.host) || ANY.includes(other.host);
  }
  const six = one.host.length === ANY_SIX.length ? one : other;
  return six.host === ANY_SIX && !six.sixOnly;
}
