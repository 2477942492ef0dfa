/** An IPv4 or IPv6 socket. */
import * as z from 'zod';
import { addressText } from '../../inet.js';
import { keyName } from '../../tcp-key.js';
import { datagramSchema, LONGEST_DATAGRAM, MOST_DATAGRAMS } from '../datagram.js';
import { bytes, hostAddress, index, int, socketAddress, text } from '../fields.js';
import { type TcpConnection, tcpConnectionSchema } from '../tcp-connection.js';
import { tcpKeysSchema } from '../tcp-key.js';
import { common, interfaceName, letGo, socketFilter } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('inet'),
  ...common,
  family: z.enum(['ipv4', 'ipv6']),
  protocol: z.enum(['tcp', 'mptcp', 'udp', 'udplite', 'ping', 'raw']),
  /** Of a raw socket: the protocol above IP. */
  number: int.min(0).max(255).default(0),
  /** `struct sockaddr_in` or `sockaddr_in6`; `null` for a socket that is not bound. */
  local: socketAddress.nullable(),
  /** To whom a socket of datagrams is connected. */
  peer: socketAddress.nullable(),
  /** Name of the interface that both addresses mean by their `sin6_scope_id`; empty where there is none. */
  scope: text,
  /** Of a listening socket. */
  backlog: index.nullable(),
  /**
   * What became of a TCP connection, or `null` for a socket that was never connected:
   * - `closed`: closed by both sides; `input` can still be read
   * - `reset`: broken off by the peer; the process is yet to be told (ECONNRESET)
   * - `refused`: the attempt has failed; the process is yet to be told (ECONNREFUSED)
   * - `failed`: the attempt has failed, and the process knows
   */
  ended: z.enum(['closed', 'reset', 'refused', 'failed']).nullable(),
  /** What the process has not read of a connection that was closed. */
  input: bytes,
  /**
   * The byte of `input` that is urgent (MSG_OOB), which is read apart; `taken`: it was, only its mark is left, and
   * what it was is not known.
   */
  urgent: z.object({ at: index, taken: z.boolean() }).nullable().default(null),
  letGo,
  /** A TCP connection that is kept: `local` and `peer` are its own. */
  connection: tcpConnectionSchema.nullable().default(null),
  /** Of a TCP socket: TCP_MD5SIG. */
  keys: tcpKeysSchema,
  /** What setsockopt(2) takes; SO_RCVBUF and SO_SNDBUF as getsockopt(2) tells them. */
  options: z.array(z.object({ level: index, option: index, value: bytes })),
  /**
   * What was on as the socket got its address or its peer, was switched off since, and must be on as it gets them again.
   * `reusePort`: as far as others of the process have the address, too.
   */
  switchedOff: z.array(z.enum(['freeBind', 'transparent', 'broadcast', 'reusePort'])).default([]),
  /** What of its address the kernel has chosen, at connect(2) or by itself, and takes back with the connection. */
  chosen: z.array(z.enum(['address', 'port'])).default([]),
  /** Options whose value is the number of an interface; `swapped`: in the network's order of bytes. */
  interfaces: z
    .array(z.object({ level: index, option: index, name: interfaceName, swapped: z.boolean() }))
    .default([]),
  filter: socketFilter,
  /** Of a UDP socket. 1: nothing more is received; 2: nothing more is sent. */
  shutdown: int.min(0).max(3).default(0),
  /** Of a UDP socket: what can be received, the first of it first. */
  datagrams: z.array(datagramSchema).max(MOST_DATAGRAMS).default([]),
  /** Of a UDP socket: what is being put together (UDP_CORK, MSG_MORE), and to whom it goes; `null`: the peer. */
  corked: z
    .object({
      to: socketAddress.nullable(),
      content: bytes.refine((value) => value.length <= LONGEST_DATAGRAM, 'is longer than any datagram'),
    })
    .nullable()
    .default(null),
  /** Multicast groups. */
  groups: z
    .array(
      z.object({
        group: hostAddress,
        interface: interfaceName,
        /** From whom: from all but `sources`, or from `sources` only. */
        mode: z.enum(['exclude', 'include']),
        sources: z.array(hostAddress),
      }),
    )
    .default([]),
});

type Inet = z.infer<typeof schema>;

/** A socket of TCP, UDP, or another protocol of IP. */
export const inet = kindModel({
  schema,
  title: ({ protocol }) => `${TITLES[protocol]} socket`,
  describe,
});

const TITLES: Readonly<Record<Inet['protocol'], string>> = {
  ...{ tcp: 'TCP', mptcp: 'MPTCP', udp: 'UDP', udplite: 'UDP-Lite', ping: 'ICMP', raw: 'raw' },
};

function describe(file: Inet): string {
  const parts = [
    `${file.protocol} over ${file.family}`,
    file.local ? `at ${addressText(file.local)}` : '',
    file.peer ? `to ${addressText(file.peer)}` : '',
    file.backlog === null ? '' : `listens, backlog ${file.backlog}`,
    file.connection ? describeConnection(file.connection) : '',
    file.ended ? `a connection that is ${file.ended}, ${file.input.length} bytes unread` : '',
    file.urgent ? 'urgent data in it' : '',
    file.keys.length === 0 ? '' : `keys of TCP MD5 for ${file.keys.map(keyName).join(' ')}`,
    file.datagrams.length === 0 ? '' : `${file.datagrams.length} datagrams unread`,
    file.corked ? `a datagram of ${file.corked.content.length} bytes that is not sent yet` : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** `127.0.0.1:80 to 127.0.0.1:4242, established`. */
function describeConnection({ local, peer, state, input, unconfirmed, unsent }: TcpConnection): string {
  return [
    `connection ${addressText(local)} to ${addressText(peer)}`,
    state,
    `${input.length} bytes unread`,
    `${unconfirmed.length} bytes not confirmed`,
    `${unsent.length} not sent`,
  ].join(', ');
}
