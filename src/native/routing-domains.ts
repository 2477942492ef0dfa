/** Routing domains (VRF): interfaces that stand for one, to which keys of TCP MD5 can be bound. */
import { closeSync, readFileSync } from 'node:fs';
import { AF, SOCK, SOL } from '../inet.js';
import { TCP_OPTION } from '../tcp.js';
import { md5SignatureWithin } from '../tcp-key.js';
import { addon } from './addon.js';
import { makeSocket } from './sockets.js';
import { ioctl } from './syscalls.js';

const SETSOCKOPT = 54;
const SIOCGIFINDEX = 0x8933;

/** Whether our network namespace has any: asked by giving a socket of ours a key for each interface. */
export function hasRoutingDomains(): boolean {
  const fd = makeSocket(AF.INET, SOCK.STREAM);
  try {
    return interfaceNames().some((name) => {
      const key = md5SignatureWithin(indexOf(fd, name));
      return succeeds('EINVAL', () =>
        addon.syscall(SETSOCKOPT, fd, SOL.TCP, TCP_OPTION.MD5SIG_EXT, key, key.length),
      );
    });
  } finally {
    closeSync(fd);
  }
}

/** Two lines of headings, then `  lo: 0 0 ...`. */
function interfaceNames(): string[] {
  const lines = readFileSync('/proc/self/net/dev', 'latin1').split('\n').slice(2);
  return lines.flatMap((line) => /^\s*([^:]+):/.exec(line)?.[1] ?? []);
}

/** Number of an interface; of one that has gone meanwhile -1. */
function indexOf(fd: number, name: string): number {
  const request = Buffer.alloc(40); // struct ifreq
  request.write(name, 'latin1');
  return succeeds('ENODEV', () => ioctl(fd, SIOCGIFINDEX, request)) ? request.readInt32LE(16) : -1;
}

/** Whether a call succeeds. @throws for any other error than this one */
function succeeds(error: string, make: () => unknown): boolean {
  try {
    make();
    return true;
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === error) return false;
    throw thrown;
  }
}
