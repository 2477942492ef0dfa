/** Options of a socket: those in which it differs from a new one. */
import { closeSync } from 'node:fs';
import {
  AF,
  type Making,
  optionName,
  protocolNumber,
  SO,
  SOCK,
  SOCKET_OPTIONS,
  SOL,
  type SocketOption,
  typeOf,
} from '../../inet.js';
import { interfaceName } from '../../native/inet.js';
import { getOption, makeSocket, optionMemory } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { BUFFER_LOCK } from '../../socket.js';
import { captureFilter } from './filter.js';
import { Refusal } from './refusal.js';

type Inet = OpenFileOf<'inet'>;

const SO_NETNS_COOKIE = 71;
const LOCKS = { [SO.SNDBUF]: BUFFER_LOCK.SEND, [SO.RCVBUF]: BUFFER_LOCK.RECEIVE } as const;
const SIZES = [SO.SNDBUF, SO.RCVBUF] as const;
const TCP_MAXSEG = 2;
/** The least that setsockopt(2) takes; below it is what IP options have left of a segment. */
const LEAST_SEGMENT = 88;
/** Of SO_TIMESTAMPING: `linux/net_tstamp.h`. */
const OPT_ID = 1 << 7;

/** What a socket is in our network namespace before a program has set anything. */
export interface Fresh {
  /** SO_NETNS_COOKIE; `null` before Linux 5.14. */
  readonly network: Uint8Array | null;
  /** The options that such a socket knows. */
  readonly options: readonly (SocketOption & { readonly value: Uint8Array })[];
  readonly sizes: Readonly<Record<(typeof SIZES)[number], Uint8Array>>;
  /** Bytes of memory that its options take. */
  readonly optionMemory: number;
}

/** Makes an IPv4 or IPv6 socket, and looks at it. */
export function readFreshInet(making: Making): Fresh {
  return readFresh(...argumentsOf(making));
}

/** Makes an IPv4 or IPv6 socket. */
export function makeInet(making: Making): number {
  return makeSocket(...argumentsOf(making));
}

/** What socket(2) is called with. */
function argumentsOf(making: Making): [family: number, type: number, protocol: number] {
  const family = making.family === 'ipv4' ? AF.INET : AF.INET6;
  return [family, SOCK[typeOf(making.protocol)], protocolNumber(making)];
}

/** Makes a socket, and looks at it. The arguments are those of socket(2). */
export function readFresh(family: number, type: number, protocol: number): Fresh {
  const fd = makeSocket(family, type, protocol);
  try {
    return {
      network: networkOf(fd),
      options: SOCKET_OPTIONS.flatMap((row) => {
        // MPTCP over IPv4 tells those of IPv6 and does not take them.
        if (family === AF.INET && row.level === SOL.IPV6) return [];
        const value = getOption(fd, row.level, row.option);
        return value ? [{ ...row, value }] : [];
      }),
      sizes: {
        [SO.SNDBUF]: getOption(fd, SOL.SOCKET, SO.SNDBUF)!,
        [SO.RCVBUF]: getOption(fd, SOL.SOCKET, SO.RCVBUF)!,
      },
      optionMemory: optionMemory(fd),
    };
  } finally {
    closeSync(fd);
  }
}

/** Whether a socket is of our network namespace; a process may have sockets of others than its own. */
export function isHere(copy: number, { network }: Fresh): boolean {
  return network === null || Buffer.compare(networkOf(copy)!, network) === 0;
}

function networkOf(fd: number): Uint8Array | null {
  return getOption(fd, SOL.SOCKET, SO_NETNS_COOKIE, 8);
}

/**
 * Reads the options of a socket.
 * @param copy a duplicate of it
 * @param idle it is not connected
 * @param sizes with the sizes of its buffers
 * @throws Refusal for an option that is not carried
 */
export function captureOptions(
  copy: number,
  fresh: Fresh,
  idle: boolean,
  sizes = true,
): Pick<Inet, 'options' | 'interfaces' | 'filter'> {
  const interfaces: Inet['interfaces'] = [];
  refuseLostDevice(copy);
  const set = fresh.options.flatMap(({ name, level, option, mode, value: usual }) => {
    // Those of multicast take the values of the segment by which a connection came.
    if ((mode === 'idle' || mode === 'interface' || name.includes('MULTICAST')) && !idle) return [];
    const value = getOption(copy, level, option);
    if (!value || (Buffer.compare(value, usual) === 0 && mode !== 'always')) return [];
    if (level === SOL.TCP && option === TCP_MAXSEG && Buffer.from(value).readInt32LE(0) < LEAST_SEGMENT)
      return [];
    const isLast = !idle && sizes; // Of a connection that ends here.
    if (level === SOL.SOCKET && option === SO.TIMESTAMPING && value[0]! & OPT_ID && !isLast) {
      throw new Refusal(
        'it counts what it sends (SOF_TIMESTAMPING_OPT_ID), and how far it has come is told by nobody',
      );
    }
    if (mode === 'refused') throw new Refusal(`its option ${optionName(level, option)} is not carried`);
    if (mode === 'interface' || mode === 'swapped') {
      const swapped = mode === 'swapped';
      const index = swapped ? Buffer.from(value).readInt32BE(0) : Buffer.from(value).readInt32LE(0);
      interfaces.push({
        level,
        option,
        name: nameOfInterface(copy, index, optionName(level, option)),
        swapped,
      });
      return [];
    }
    return [{ level, option, value }];
  });
  const options = sizes ? [...set, ...captureSizes(copy, fresh)] : set;
  return { options, interfaces, filter: captureFilter(copy) };
}

function nameOfInterface(copy: number, index: number, option: string): string {
  try {
    return interfaceName(copy, index);
  } catch {
    throw new Refusal(`its option ${option} means network interface ${index}, which is gone`);
  }
}

/** The kernel no longer tells the name of an interface that is gone, and lets nothing in from any other. */
function refuseLostDevice(copy: number): void {
  const index = getOption(copy, SOL.SOCKET, SO.BINDTOIFINDEX, 4);
  if (!index || Buffer.from(index).readInt32LE(0) === 0) return;
  if (getOption(copy, SOL.SOCKET, SO.BINDTODEVICE) === null) {
    throw new Refusal(
      `it is bound to network interface ${Buffer.from(index).readInt32LE(0)} (SO_BINDTODEVICE), which is gone`,
    );
  }
}

/** Sizes of buffers that the program has chosen. */
function captureSizes(copy: number, { sizes }: Fresh): Inet['options'] {
  const locks = getOption(copy, SOL.SOCKET, SO.BUF_LOCK);
  return SIZES.flatMap((option) => {
    const value = getOption(copy, SOL.SOCKET, option)!;
    // Before Linux 5.14 nothing tells whether the kernel chose the size.
    const chosen = locks ? (locks[0]! & LOCKS[option]) !== 0 : Buffer.compare(value, sizes[option]) !== 0;
    return chosen ? [{ level: SOL.SOCKET, option, value }] : [];
  });
}
