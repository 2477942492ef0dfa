/** sock_diag(7): what the kernel tells of IPv4 and IPv6 sockets, and nothing else does. */
import { attributesOf } from '../netlink.js';
import { dumpSockets } from './diag.js';

/** `linux/inet_diag.h` */
const INET_DIAG_REQ = 56;
const INET_DIAG_MSG = 72;
const QUEUED = 56;
const INODE = 68;
const INFO = 2;
const ATTRIBUTE = { SHUTDOWN: 8, MD5SIG: 18 } as const;

/** States to ask for: `net/tcp_states.h`, one bit each. */
export const ANY_STATE = 0xffff_ffff;
/** Listening sockets, and those that are bound. */
export const IDLE_STATES = (1 << 10) | (1 << 13);

/** What is told of a socket. */
export interface InetFacts {
  /** Memory, in bytes, of the datagrams that wait in it; of a TCP socket what waits to be read. */
  readonly queued: number;
  /** 1: receives nothing more; 2: sends nothing more. */
  readonly shutdown: number;
  /** It has keys for TCP_MD5SIG; told only to CAP_NET_ADMIN. */
  readonly md5: boolean;
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
      const queued = message.readUInt32LE(QUEUED);
      return [BigInt(message.readUInt32LE(INODE)), { queued, shutdown, md5: found.has(ATTRIBUTE.MD5SIG) }];
    }),
  );
}
