/** The memory that the kernel counts for datagrams, found by sending one like them to ourselves. */
import { closeSync } from 'node:fs';
import { AF, LOOPBACK, putTogether } from '../inet.js';
import { SO, SOL_SOCKET, Sock } from '../socket.js';
import { addon } from './addon.js';
import { socketName } from './inet.js';
import { getOption, makeSocket } from './sockets.js';

const NR = { sendto: 44, recvfrom: 45, bind: 49 } as const;
const MSG_DONTWAIT = 0x40;

/**
 * The memory of a datagram that was sent on the loopback interface.
 * @param family `AF_INET` or `AF_INET6`
 * @param protocol `IPPROTO_UDP` or `IPPROTO_UDPLITE`
 * @param lengths bytes of the content of each
 * @returns bytes of each
 * @throws Error where no datagram can be sent there
 */
export function datagramMemory(
  family: number,
  protocol: number,
  lengths: ReadonlySet<number>,
): Map<number, number> {
  const [from, to] = [makeSocket(family, Sock.DGRAM, protocol), makeSocket(family, Sock.DGRAM, protocol)];
  try {
    const loopback = putTogether(LOOPBACK[family === AF.INET ? 'ipv4' : 'ipv6'], 0);
    addon.syscall(NR.bind, to, loopback, loopback.length);
    const address = socketName(to);
    return new Map(
      [...lengths].map((length) => {
        addon.syscall(NR.sendto, from, new Uint8Array(length), length, MSG_DONTWAIT, address, address.length);
        const memory = Buffer.from(getOption(to, SOL_SOCKET, SO.MEMINFO, 4)!).readUInt32LE(0);
        addon.syscall(NR.recvfrom, to, new Uint8Array(1), 1, MSG_DONTWAIT, 0, 0);
        return [length, memory];
      }),
    );
  } finally {
    closeSync(from);
    closeSync(to);
  }
}
