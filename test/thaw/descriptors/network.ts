/** A network namespace for a test file: a loopback interface, and nobody else. */
import { writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { addon } from '../../../src/native/addon.js';
import { makeSocket } from '../../../src/native/sockets.js';
import { ioctl } from '../../../src/native/syscalls.js';
import { leaveOut } from '../../e2e/harness/needs.js';

const UNSHARE = 272;
const CLONE_NEWNET = 0x4000_0000;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;

/**
 * Moves this process into a network namespace of its own, where everybody may send echo requests, once.
 * @returns whether that is permitted; else the test is left out
 */
export function ownNetwork(t: ExecutionContext): boolean {
  if (process.getuid?.() !== 0) leaveOut(t, 'a network namespace takes root');
  else if (!moved) move();
  return process.getuid?.() === 0;
}

let moved = false;

function move(): void {
  addon.syscall(UNSHARE, CLONE_NEWNET);
  const request = Buffer.alloc(40); // struct ifreq
  request.write('lo');
  request.writeUInt16LE(IFF_UP, 16);
  ioctl(makeSocket(2, 2), SIOCSIFFLAGS, request);
  writeFileSync('/proc/sys/net/ipv4/ping_group_range', '0 2147483647');
  moved = true;
}
