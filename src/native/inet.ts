/** System calls on IPv4 and IPv6 sockets that Node.js does not offer. None of them changes the socket. */
import { addon } from './addon.js';
import { getOption } from './sockets.js';
import { ioctl } from './syscalls.js';

/** Numbers of `asm/unistd_64.h`. */
const NR = {
  recvfrom: 45,
  getsockname: 51,
  getpeername: 52,
  getxattr: 191,
};

const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;
const SIOCGIFNAME = 0x8910;
const SIOCOUTQ = 0x5411;
const SOL_IP = 0;
const IP_PROTOCOL = 52;

/**
 * What the kernel calls the protocol of a socket: `TCP`, `UDPv6`, `UNIX-STREAM`, `NETLINK`.
 * @param path a link of /proc/PID/fd, or a socket file, which has none
 * @returns `null` where it has none
 */
export function socketProtocol(path: string): string | null {
  const name = new Uint8Array(64);
  try {
    const length = addon.syscall(
      NR.getxattr,
      cString(path),
      cString('system.sockprotoname'),
      name,
      name.length,
    );
    return Buffer.from(name.subarray(0, Number(length)))
      .toString('latin1')
      .replace(/\0.*$/, '');
  } catch {
    return null;
  }
}

function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}

/** getsockname(2): the `sockaddr` of the socket's family, 28 bytes at most. */
export function socketName(fd: number): Uint8Array {
  return nameBy(NR.getsockname, fd);
}

/**
 * Whether the port of a TCP socket that getsockname(2) tells is not its own any more: after an attempt to connect that has
 * failed, or connect(2) to nothing. IP_PROTOCOL tells the port that it has, of IPv6 sockets, too.
 */
export function isPortGivenBack(fd: number): boolean {
  const port = getOption(fd, SOL_IP, IP_PROTOCOL, 4);
  return port !== null && Buffer.from(port).readInt32LE(0) === 0;
}

/** getpeername(2); `null` for a socket that is not connected. */
export function peerName(fd: number): Uint8Array | null {
  try {
    return nameBy(NR.getpeername, fd);
  } catch {
    return null;
  }
}

function nameBy(call: number, fd: number): Uint8Array {
  const address = new Uint8Array(28);
  const length = Uint32Array.of(address.length);
  addon.syscall(call, fd, address, new Uint8Array(length.buffer));
  return address.slice(0, length[0]!);
}

/** recv(2) with MSG_PEEK, of bytes that are known to be there: where there are none, an error would be consumed. */
export function peekBytes(fd: number, size: number): Uint8Array {
  const buffer = new Uint8Array(size);
  const got = addon.syscall(NR.recvfrom, fd, buffer, size, MSG_PEEK | MSG_DONTWAIT, 0, 0);
  return buffer.subarray(0, Number(got));
}

/** SIOCOUTQ: bytes that the peer has not confirmed, or for UDP the memory of what has not left the machine. */
export function unconfirmed(fd: number): number {
  const count = new Int32Array(1);
  ioctl(fd, SIOCOUTQ, new Uint8Array(count.buffer));
  return count[0]!;
}

/** SIOCGIFNAME of netdevice(7): the name of an interface. */
export function interfaceName(fd: number, index: number): string {
  const request = Buffer.alloc(40); // struct ifreq
  request.writeInt32LE(index, 16);
  ioctl(fd, SIOCGIFNAME, request);
  return request.toString('latin1', 0, 16).replace(/\0.*$/s, '');
}

/** What `struct tcp_info` tells of a socket. */
export interface TcpInfo {
  /** `TCP_*` of `net/tcp_states.h`. */
  readonly state: number;
  /** Of a listening socket: connections that wait, and how many may. */
  readonly waiting: number;
  readonly backlog: number;
  /** Whether it has ever been connected. */
  readonly hadPeer: boolean;
}

/** getsockopt(2) TCP_INFO. */
export function tcpInfo(fd: number): TcpInfo {
  const info = Buffer.from(getOption(fd, 6, 11)!);
  return {
    state: info[0]!,
    waiting: info.readUInt32LE(24),
    backlog: info.readUInt32LE(28),
    // A connection that was refused has seen one segment at most, and no confirmation.
    hadPeer: info.readBigUInt64LE(120) > 0n || info.readUInt32LE(140) > 1,
  };
}
