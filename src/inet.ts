/** IPv4 and IPv6 sockets: constants, addresses in words, and the options that a program can set. */
import { SOL_PACKET } from './packet.js';
import { SO } from './socket.js';
import { TCP_OPTION } from './tcp.js';

export { SO };

/** Address families of socket(2). */
export const AF = { INET: 2, INET6: 10, NETLINK: 16 } as const;
/** Types of socket(2), and the flags that go with them. */
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
/** Protocols of socket(2): `linux/in.h`. */
export const IPPROTO = { tcp: 6, mptcp: 262, udp: 17, udplite: 136, icmp: 1, icmpv6: 58 } as const;
/** Levels of setsockopt(2). */
export const SOL = {
  ...{ SOCKET: 1, IP: 0, IPV6: 41, TCP: 6, UDP: 17, UDPLITE: 136, RAW: 255, ICMPV6: 58 },
  ...{ NETLINK: 270, PACKET: SOL_PACKET },
} as const;

/**
 * A protocol that is carried. `mptcp`: of sockets that have no connection; `ping`: echo requests of ICMP without
 * privilege; `raw`: any protocol by number.
 */
export type Protocol = 'tcp' | 'mptcp' | 'udp' | 'udplite' | 'ping' | 'raw';

/** What makes a socket. */
export interface Making {
  readonly family: 'ipv4' | 'ipv6';
  readonly protocol: Protocol;
  /** Of a raw socket: the protocol above IP. */
  readonly number: number;
}

/** Type and protocol for socket(2), each with its name. */
export function typeOf(protocol: Protocol): 'STREAM' | 'DGRAM' | 'RAW' {
  if (protocol === 'tcp' || protocol === 'mptcp') return 'STREAM';
  return protocol === 'raw' ? 'RAW' : 'DGRAM';
}

/** The protocol number that socket(2) takes. */
export function protocolNumber({ family, protocol, number }: Making): number {
  switch (protocol) {
    case 'raw':
      return number;
    case 'ping':
      return family === 'ipv4' ? IPPROTO.icmp : IPPROTO.icmpv6;
    default:
      return IPPROTO[protocol];
  }
}

/** An option of setsockopt(2). */
export interface SocketOption {
  readonly name: string;
  readonly level: number;
  readonly option: number;
  /**
   * - `idle`: of a connected socket it tells what the connection came to, not what was set
   * - `always`: carried even if it has the value of a new socket, which other options change
   * - `refused`: a value other than that of a new socket is not carried
   * - `interface`: the number of an interface, carried by its name; of a connected socket it is the one by which
   *   the connection came. `swapped`: in the network's order of bytes, and always what was set
   */
  readonly mode?: 'idle' | 'always' | 'refused' | 'interface' | 'swapped';
}

/** `name=number`, with a mark behind for the modes. */
function rows(level: number, text: string): SocketOption[] {
  const modes = { '?': 'idle', '+': 'always', '!': 'refused', '@': 'interface', '%': 'swapped' } as const;
  return text
    .trim()
    .split(/\s+/)
    .map((row) => {
      const [, name, option, mark] = /^(\w+)=(\d+)([?+!@%]?)$/.exec(row)!;
      const mode = modes[mark as keyof typeof modes];
      return { name: name!, level, option: Number(option), ...(mode ? { mode } : {}) };
    });
}

/**
 * Options that getsockopt(2) tells and setsockopt(2) takes in the same form, in the order in which they
 * are set: `asm-generic/socket.h`, `linux/in.h`, `in6.h`, `tcp.h`, `udp.h`, `if_packet.h`. SO_RCVBUF and
 * SO_SNDBUF, which are doubled when they are set, are not among them; nor is what reading would change, as SO_ERROR.
 */
export const SOCKET_OPTIONS: readonly SocketOption[] = [
  ...rows(
    SOL.IP,
    `IP_TOS=1 IP_TTL=2 IP_HDRINCL=3 IP_OPTIONS=4 IP_ROUTER_ALERT=5 IP_RECVOPTS=6 IP_RETOPTS=7 IP_PKTINFO=8 IP_MTU_DISCOVER=10 IP_RECVERR=11
     IP_RECVTTL=12 IP_RECVTOS=13 IP_FREEBIND=15 IP_PASSSEC=18 IP_TRANSPARENT=19 IP_RECVORIGDSTADDR=20
     IP_MINTTL=21 IP_NODEFRAG=22 IP_CHECKSUM=23 IP_BIND_ADDRESS_NO_PORT=24 IP_RECVFRAGSIZE=25 IP_RECVERR_RFC4884=26
     IP_MULTICAST_IF=32 IP_MULTICAST_TTL=33 IP_MULTICAST_LOOP=34 IP_MULTICAST_ALL=49 IP_UNICAST_IF=50%
     IP_LOCAL_PORT_RANGE=51`,
  ),
  ...rows(
    SOL.IPV6,
    `IPV6_2292PKTINFO=2 IPV6_2292HOPOPTS=3 IPV6_2292DSTOPTS=4 IPV6_2292RTHDR=5 IPV6_CHECKSUM=7 IPV6_2292HOPLIMIT=8
     IPV6_FLOWINFO=11 IPV6_UNICAST_HOPS=16 IPV6_MULTICAST_IF=17@ IPV6_MULTICAST_HOPS=18 IPV6_MULTICAST_LOOP=19
     IPV6_MTU_DISCOVER=23 IPV6_RECVERR=25 IPV6_V6ONLY=26 IPV6_MULTICAST_ALL=29 IPV6_ROUTER_ALERT_ISOLATE=30
     IPV6_RECVERR_RFC4884=31
     IPV6_FLOWINFO_SEND=33 IPV6_HDRINCL=36 IPV6_RECVPKTINFO=49 IPV6_RECVHOPLIMIT=51 IPV6_RECVHOPOPTS=53 IPV6_HOPOPTS=54
     IPV6_RTHDRDSTOPTS=55 IPV6_RECVRTHDR=56 IPV6_RTHDR=57 IPV6_RECVDSTOPTS=58 IPV6_DSTOPTS=59
     IPV6_RECVPATHMTU=60 IPV6_DONTFRAG=62 IPV6_RECVTCLASS=66 IPV6_TCLASS=67 IPV6_AUTOFLOWLABEL=70
     IPV6_ADDR_PREFERENCES=72 IPV6_MINHOPCOUNT=73 IPV6_ORIGDSTADDR=74 IPV6_TRANSPARENT=75 IPV6_UNICAST_IF=76%
     IPV6_RECVFRAGSIZE=77 IPV6_FREEBIND=78`,
  ),
  ...rows(
    SOL.TCP,
    `TCP_NODELAY=1 TCP_MAXSEG=2? TCP_CORK=3 TCP_KEEPIDLE=4 TCP_KEEPINTVL=5 TCP_KEEPCNT=6 TCP_SYNCNT=7
     TCP_LINGER2=8 TCP_DEFER_ACCEPT=9? TCP_WINDOW_CLAMP=10? TCP_QUICKACK=12? TCP_CONGESTION=13 TCP_THIN_LINEAR_TIMEOUTS=16
     TCP_USER_TIMEOUT=18 TCP_REPAIR=19! TCP_FASTOPEN=23? TCP_NOTSENT_LOWAT=25 TCP_SAVE_SYN=27?
     TCP_FASTOPEN_CONNECT=30? TCP_ULP=31! TCP_FASTOPEN_KEY=33? TCP_FASTOPEN_NO_COOKIE=34? TCP_INQ=36 TCP_TX_DELAY=37
     TCP_RTO_MAX_MS=44 TCP_RTO_MIN_US=45 TCP_DELACK_MAX_US=46`,
  ),
  ...rows(
    SOL.UDP,
    'UDP_CORK=1 UDP_ENCAP=100! UDP_NO_CHECK6_TX=101 UDP_NO_CHECK6_RX=102 UDP_SEGMENT=103 UDP_GRO=104',
  ),
  ...rows(
    SOL.NETLINK,
    `NETLINK_PKTINFO=3 NETLINK_BROADCAST_ERROR=4 NETLINK_NO_ENOBUFS=5 NETLINK_LISTEN_ALL_NSID=8 NETLINK_CAP_ACK=10
     NETLINK_EXT_ACK=11 NETLINK_GET_STRICT_CHK=12`,
  ),
  // PACKET_VNET_HDR_SZ behind PACKET_VNET_HDR, which chooses a size of its own.
  ...rows(
    SOL.PACKET,
    `PACKET_COPY_THRESH=7 PACKET_AUXDATA=8 PACKET_ORIGDEV=9 PACKET_VERSION=10 PACKET_RESERVE=12 PACKET_LOSS=14
     PACKET_VNET_HDR=15 PACKET_TIMESTAMP=17 PACKET_TX_HAS_OFF=19 PACKET_QDISC_BYPASS=20 PACKET_IGNORE_OUTGOING=23
     PACKET_VNET_HDR_SZ=24`,
  ),
  ...rows(SOL.RAW, 'ICMP_FILTER=1'),
  ...rows(SOL.ICMPV6, 'ICMPV6_FILTER=1'),
  ...rows(SOL.UDPLITE, 'UDPLITE_SEND_CSCOV=10 UDPLITE_RECV_CSCOV=11'),
  // Behind IP_TOS, which changes SO_PRIORITY.
  ...rows(
    SOL.SOCKET,
    `SO_DEBUG=1 SO_REUSEADDR=2 SO_DONTROUTE=5 SO_BROADCAST=6 SO_KEEPALIVE=9 SO_OOBINLINE=10 SO_NO_CHECK=11
     SO_PRIORITY=12+ SO_LINGER=13 SO_REUSEPORT=15 SO_PASSCRED=16 SO_RCVLOWAT=18 SO_RCVTIMEO=20 SO_SNDTIMEO=21
     SO_BINDTODEVICE=25 SO_TIMESTAMP=29 SO_PASSSEC=34 SO_TIMESTAMPNS=35 SO_MARK=36 SO_TIMESTAMPING=37 SO_RXQ_OVFL=40
     SO_WIFI_STATUS=41 SO_PEEK_OFF=42 SO_NOFCS=43 SO_SELECT_ERR_QUEUE=45 SO_BUSY_POLL=46
     SO_MAX_PACING_RATE=47 SO_INCOMING_CPU=49? SO_ZEROCOPY=60 SO_TXTIME=61 SO_PREFER_BUSY_POLL=69 SO_BUSY_POLL_BUDGET=70
     SO_RESERVE_MEM=73 SO_TXREHASH=74 SO_RCVMARK=75 SO_RCVPRIORITY=82 SO_LOCK_FILTER=44
     SO_TIMESTAMP_NEW=63 SO_TIMESTAMPNS_NEW=64 SO_TIMESTAMPING_NEW=65`,
  ),
];

/** As {@link SO}, without regard to net.core.rmem_max and wmem_max; needs CAP_NET_ADMIN. */
export const SO_FORCE = { [SO.SNDBUF]: 32, [SO.RCVBUF]: 33 } as const;

/** Options that are set and not carried, by name. */
const OTHERS = {
  7: 'SO_SNDBUF',
  8: 'SO_RCVBUF',
  32: 'SO_SNDBUFFORCE',
  33: 'SO_RCVBUFFORCE',
  72: 'SO_BUF_LOCK',
} as const;

/** The name of an option, for messages. */
export function optionName(level: number, option: number): string {
  return names.get(`${level} ${option}`) ?? `option ${option} of level ${level}`;
}

/** By level and number; of several names the last. There may be many sockets, with many options each. */
const names = new Map([
  ...SOCKET_OPTIONS.map(({ level, option, name }) => [`${level} ${option}`, name] as const),
  ...Object.entries(OTHERS).map(([option, name]) => [`${SOL.SOCKET} ${option}`, name] as const),
  ...Object.entries(TCP_OPTION).map(([name, option]) => [`${SOL.TCP} ${option}`, `TCP_${name}`] as const),
]);

/** The host itself: 127.0.0.1 and ::1. */
export const LOOPBACK = {
  ipv4: Uint8Array.of(127, 0, 0, 1),
  ipv6: Uint8Array.of(...new Uint8Array(15), 1),
} as const;

/** `struct sockaddr_in` or `sockaddr_in6` taken apart. */
export interface Address {
  readonly family: number;
  readonly port: number;
  readonly host: Uint8Array;
  /** Index of the interface, for link-local IPv6 addresses; else 0. */
  readonly scope: number;
}

/** Takes a `sockaddr` apart. */
export function takeApart(address: Uint8Array): Address {
  const view = Buffer.from(address.buffer, address.byteOffset, address.length);
  const family = view.readUInt16LE(0);
  const port = view.readUInt16BE(2);
  return family === AF.INET
    ? { family, port, host: view.subarray(4, 8), scope: 0 }
    : { family, port, host: view.subarray(8, 24), scope: view.readUInt32LE(24) };
}

/** `struct sockaddr_in` or `sockaddr_in6`. @param host an address of 4 or 16 bytes */
export function putTogether(host: Uint8Array, port: number): Uint8Array {
  const address = Buffer.alloc(host.length === 4 ? 16 : 28);
  address.writeUInt16LE(host.length === 4 ? AF.INET : AF.INET6, 0);
  address.writeUInt16BE(port, 2);
  address.set(host, host.length === 4 ? 4 : 8);
  return address;
}

/** Whether an address is good on one interface only: those of IPv6 within fe80::/10. */
export function isLinkLocal(host: Uint8Array): boolean {
  return host.length === 16 && host[0] === 0xfe && (host[1]! & 0xc0) === 0x80;
}

/** Index of the interface that a `sockaddr` names; 0 for most. */
export function scopeOf(address: Uint8Array): number {
  return takeApart(address).scope;
}

/** Whether bind(2) has given a `sockaddr` an address or a port; a raw socket has its protocol's number for a port. */
export function isBound(address: Uint8Array, protocol: Protocol): boolean {
  const { port, host } = takeApart(address);
  return (port !== 0 && protocol !== 'raw') || host.some((byte) => byte !== 0);
}

/** `127.0.0.1:80`, `[::1]:80`. */
export function addressText(address: Uint8Array): string {
  const { family, port, host, scope } = takeApart(address);
  const shown = hostText(host);
  return family === AF.INET ? `${shown}:${port}` : `[${shown}${scope ? `%${scope}` : ''}]:${port}`;
}

/** `127.0.0.1`, `::1`. @param host an address of 4 or 16 bytes */
export function hostText(host: Uint8Array): string {
  if (host.length === 4) return host.join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((host[2 * i]! << 8) | host[2 * i + 1]!).toString(16));
  // The first of the longest runs of zeros is left out.
  const zeros = [...words.join(':').matchAll(/(?:^|(?<=:))0(?::0)+(?=:|$)/g)];
  const longest = zeros.sort((a, b) => b[0].length - a[0].length)[0];
  const all = words.join(':');
  const text = longest
    ? `${all.slice(0, longest.index).replace(/:$/, '')}::${all.slice(longest.index + longest[0].length).replace(/^:/, '')}`
    : all;
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(text);
  return mapped ? `::ffff:${host.subarray(12).join('.')}` : text;
}

/** The address that packets bear: of one that IPv6 has for an IPv4 host, the latter. */
export function onWire(host: Uint8Array): Uint8Array {
  const mapped =
    host.length === 16 &&
    host.subarray(0, 10).every((byte) => byte === 0) &&
    host.subarray(10, 12).every((byte) => byte === 0xff);
  return mapped ? host.subarray(12) : host;
}

/** Whether the packets to and from a `sockaddr` are those of IPv4. */
export function isIpv4(address: Uint8Array): boolean {
  return onWire(takeApart(address).host).length === 4;
}
