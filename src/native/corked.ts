/** A datagram of our own that is put together as another is, and never sent. */
import { closeSync } from 'node:fs';
import type { SocketOption } from '../inet.js';
import { addon } from './addon.js';
import { getOption } from './sockets.js';

const NR = { connect: 42, sendto: 44, bind: 49, setsockopt: 54 } as const;
const MSG_DONTWAIT = 0x40;
const MSG_MORE = 0x8000;

/** How a datagram is put together. */
export interface Corking {
  /** A socket from which the options are taken, and which of them. */
  readonly like: number;
  readonly options: readonly SocketOption[];
  /** `sockaddr` of the socket, and of whom it is connected to; `null` where it has none. */
  readonly local: Uint8Array | null;
  readonly peer: Uint8Array | null;
  /** To whom the datagram goes; `null`: the peer. */
  readonly to: Uint8Array | null;
  readonly content: Uint8Array;
}

/**
 * Runs `use` with a socket that holds such a datagram.
 * @param fd a new socket, which is closed then, and the datagram thrown away
 * @throws Error with `code` where it cannot be put together
 */
export function withCorked<T>(
  fd: number,
  { like, options, local, peer, to, content }: Corking,
  use: (fd: number) => T,
): T {
  try {
    for (const { level, option } of options) copyOption(like, fd, level, option);
    if (local) addon.syscall(NR.bind, fd, local, local.length);
    if (peer) addon.syscall(NR.connect, fd, peer, peer.length);
    addon.syscall(NR.sendto, fd, content, content.length, MSG_MORE | MSG_DONTWAIT, to ?? 0, to?.length ?? 0);
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** What cannot be set makes a difference, or does not. */
function copyOption(from: number, to: number, level: number, option: number): void {
  const value = getOption(from, level, option);
  const own = getOption(to, level, option);
  if (!value || (own && Buffer.compare(value, own) === 0)) return;
  try {
    addon.syscall(NR.setsockopt, to, level, option, value, value.length);
  } catch {
    // Whoever asks compares what has come of it.
  }
}
