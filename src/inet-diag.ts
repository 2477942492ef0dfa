/** Messages of sock_diag(7) about one TCP connection, as bytes: `linux/sock_diag.h`, `linux/inet_diag.h`. */
import { AF, IPPROTO, onWire, takeApart } from './inet.js';
import { message, NLM } from './netlink.js';
import type { Ends } from './nftables.js';

/** Types of requests; the answer to a question that finds a socket is of the same type. */
export const DIAG = { SOCK_DIAG_BY_FAMILY: 20, SOCK_DESTROY: 21 } as const;

/** Where a request, with its header, has the number of the interface that the socket is bound to, and its cookie. */
export const REQUEST = { INTERFACE: 60, COOKIE: 64 } as const;
/** Where an answer, with its header, has the peer's port (0 of a listening socket), cookie, and inode (0: nobody's). */
export const ANSWER = { PEER_PORT: 22, COOKIE: 60, INODE: 84 } as const;

const ANY_STATE = 0xffff_ffff;

/** Asks for the socket of a connection; where there is none, the kernel tells of one that listens there. */
export function askForConnection({ local, peer }: Ends): Buffer {
  const [own, its] = [takeApart(local), takeApart(peer)];
  const [source, destination] = [onWire(own.host), onWire(its.host)];
  const request = Buffer.alloc(56); // struct inet_diag_req_v2
  request.writeUInt8(source.length === 4 ? AF.INET : AF.INET6, 0);
  request.writeUInt8(IPPROTO.tcp, 1);
  request.writeUInt32LE(ANY_STATE, 4);
  request.writeUInt16BE(own.port, 8);
  request.writeUInt16BE(its.port, 10);
  request.set(source, 12);
  request.set(destination, 28);
  request.fill(0xff, 48); // INET_DIAG_NOCOOKIE
  return message(DIAG.SOCK_DIAG_BY_FAMILY, NLM.REQUEST, request);
}
