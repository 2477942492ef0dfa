/** Packets with a header of our own, by which others' addresses can be named as the sender. */
import { O } from '../../fcntl.js';
import { AF, SOCK } from '../../inet.js';
import { call, type Extra } from '../calls.js';
import type { Cell, Op } from '../program.js';

const IPPROTO_RAW = 255;
/** How far packets go where nobody is told. */
export const HOPS = 64;

/** What the header of a packet tells. */
export interface Header {
  /** Addresses of 4 or of 16 bytes. */
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  /** `IPPROTO_*` */
  readonly protocol: number;
  /** Bytes behind the header. */
  readonly size: number;
  readonly hops: number;
  /** Type of service, or the traffic class. */
  readonly service: number;
}

/** A socket that sends whole packets, which takes CAP_NET_RAW. */
export function makePacketSocket(family: number, result: Cell, extra: Extra): Op {
  return call('socket', [family, SOCK.RAW | O.CLOEXEC, IPPROTO_RAW], {
    ...{ ...extra, result },
    text: `socket(${family === AF.INET ? 'AF_INET' : 'AF_INET6'}, SOCK_RAW|SOCK_CLOEXEC, IPPROTO_RAW)`,
  });
}

/** The header of a packet of IPv4 or of IPv6. */
export function ipHeader(header: Header): Buffer {
  return header.from.length === 4 ? ipv4(header) : ipv6(header);
}

/** `struct iphdr`; the kernel fills in its checksum. */
function ipv4({ from, to, protocol, size, hops, service }: Header): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt8(service, 1);
  header.writeUInt16BE(header.length + size, 2);
  header.writeUInt8(hops, 8);
  header.writeUInt8(protocol, 9);
  header.set(from, 12);
  header.set(to, 16);
  return header;
}

/** `struct ipv6hdr` */
function ipv6({ from, to, protocol, size, hops, service }: Header): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32BE(((0x60 << 24) | (service << 20)) >>> 0, 0);
  header.writeUInt16BE(size, 4);
  header.writeUInt8(protocol, 6);
  header.writeUInt8(hops, 7);
  header.set(from, 8);
  header.set(to, 24);
  return header;
}
