/** sock_diag(7): what the kernel tells of IPv4 and IPv6 sockets, and nothing else does. */
import { AF } from '../inet.js';
import { attributesOf } from '../netlink.js';
import type { TcpKey } from '../snapshot/tcp-key.js';
import { dumpSockets } from './diag.js';

/** `linux/inet_diag.h` */
const INET_DIAG_REQ = 56;
const INET_DIAG_MSG = 72;
const STATE = 1;
const QUEUED = 56;
const INODE = 68;
const INFO = 2;
/** `sizeof (struct tcp_diag_md5sig)`: `linux/tcp.h`. */
const MD5SIG = 100;
const ATTRIBUTE = { SHUTDOWN: 8, MD5SIG: 18 } as const;

/** States to ask for: `net/tcp_states.h`, one bit each. */
export const ANY_STATE = 0xffff_ffff;
/** Listening sockets, and those that are bound. */
export const IDLE_STATES = (1 << 10) | (1 << 13);
/** Those with a connection that was made; without what only waits for its time to pass (TIME_WAIT). */
export const CONNECTED_STATES = (1 << 1) | (1 << 4) | (1 << 5) | (1 << 8) | (1 << 9) | (1 << 11);

/** What is told of a socket. */
export interface InetFacts {
  /** `TCP_*` of `net/tcp_states.h`. */
  readonly state: number;
  /** Memory, in bytes, of the datagrams that wait in it; of a TCP socket what waits to be read. */
  readonly queued: number;
  /** 1: receives nothing more; 2: sends nothing more. */
  readonly shutdown: number;
  /** TCP_MD5SIG: the latest first; told only to CAP_NET_ADMIN. */
  readonly keys: readonly TcpKey[];
}

/**
 * The sockets of one family and protocol that are bound or connected, by inode.
 * @param family `AF_*`
 * @param protocol `IPPROTO_*`
 * @throws Error where the kernel has no table of them
 */
export function inetSockets(family: number, protocol: number, states: number): Map<bigint, InetFacts> {
  const request = Buffer.alloc(INET_DIAG_REQ);
  request.writeUInt8(family, 0);
  request.writeUInt8(protocol, 1);
  request.writeUInt8(1 << (INFO - 1), 2); // without it, newer kernels do not tell of keys
  request.writeUInt32LE(states >>> 0, 4);
  return new Map(
    dumpSockets(request, (message): [bigint, InetFacts] => {
      const found = attributesOf(message.subarray(INET_DIAG_MSG));
      const shutdown = found.get(ATTRIBUTE.SHUTDOWN)?.readUInt8(0) ?? 0;
      const state = message.readUInt8(STATE);
      const queued = message.readUInt32LE(QUEUED);
      const keys = keysOf(found.get(ATTRIBUTE.MD5SIG) ?? Buffer.alloc(0));
      return [BigInt(message.readUInt32LE(INODE)), { state, queued, shutdown, keys }];
    }),
  );
}

/** `struct tcp_diag_md5sig[]` */
function keysOf(table: Buffer): TcpKey[] {
  return Array.from({ length: Math.floor(table.length / MD5SIG) }, (_, i) => {
    const entry = table.subarray(i * MD5SIG, (i + 1) * MD5SIG);
    const [family, prefix] = [entry.readUInt8(0), entry.readUInt8(1)];
    const host = Uint8Array.from(entry.subarray(4, family === AF.INET ? 8 : 20));
    return { host, prefix, key: Uint8Array.from(entry.subarray(20, 20 + entry.readUInt16LE(2))) };
  });
}
