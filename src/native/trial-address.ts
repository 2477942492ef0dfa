/** Addresses that are tried on a socket of our own, which is closed again and sends nothing. */
import { closeSync } from 'node:fs';
import { errnoOf } from '../errno.js';
import { SO, SOL_SOCKET } from '../socket.js';
import { addon } from './addon.js';
import { makeSocket } from './sockets.js';

const NR = { connect: 42, bind: 49, setsockopt: 54 } as const;
const SOCK_DGRAM = 2;

/**
 * Tries an address on a new UDP socket without options, any port in the case of bind(2).
 * @param address a `sockaddr`
 * @param device value of SO_BINDTODEVICE for it; `null`: none
 * @returns name of the error; `null` where it works
 */
export function tryAddress(
  how: 'bind' | 'connect',
  address: Uint8Array,
  device: Uint8Array | null,
): string | null {
  const fd = makeSocket(Buffer.from(address).readUInt16LE(0), SOCK_DGRAM);
  try {
    if (device?.length) addon.syscall(NR.setsockopt, fd, SOL_SOCKET, SO.BINDTODEVICE, device, device.length);
    const tried = Uint8Array.from(address);
    if (how === 'bind') tried.set([0, 0], 2);
    addon.syscall(NR[how], fd, tried, tried.length);
    return null;
  } catch (error) {
    const name = errnoOf(error);
    if (name === undefined) throw error;
    return name;
  } finally {
    closeSync(fd);
  }
}
