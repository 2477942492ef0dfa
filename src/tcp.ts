/** Constants of TCP_REPAIR and of the states of a connection: `linux/tcp.h`, `net/tcp_states.h`. */
import type { TcpConnection } from './snapshot/tcp-connection.js';

/** States of a TCP socket. */
export const TCP = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
} as const;

/** The states of which a connection is kept. */
export const KEPT_STATES: readonly (readonly [number, TcpConnection['state']])[] = [
  [TCP.ESTABLISHED, 'established'],
  [TCP.SYN_SENT, 'syn-sent'],
  [TCP.FIN_WAIT1, 'fin-wait-1'],
  [TCP.FIN_WAIT2, 'fin-wait-2'],
  [TCP.CLOSE_WAIT, 'close-wait'],
  [TCP.CLOSING, 'closing'],
  [TCP.LAST_ACK, 'last-ack'],
];

/** Whether the program has ended its stream. */
export function isEnded(state: TcpConnection['state']): boolean {
  return ['fin-wait-1', 'fin-wait-2', 'closing', 'last-ack'].includes(state);
}

/** Whether the peer has ended its stream. */
export function isEndedByPeer(state: TcpConnection['state']): boolean {
  return ['close-wait', 'closing', 'last-ack'].includes(state);
}

/** Options at the level of TCP, without their `TCP_`. */
export const TCP_OPTION = {
  MAXSEG: 2,
  WINDOW_CLAMP: 10,
  INFO: 11,
  MD5SIG: 14,
  REPAIR: 19,
  REPAIR_QUEUE: 20,
  QUEUE_SEQ: 21,
  REPAIR_OPTIONS: 22,
  TIMESTAMP: 24,
  REPAIR_WINDOW: 29,
  MD5SIG_EXT: 32,
} as const;

/** Values of TCP_REPAIR. Off, a segment goes out by which the peer tells its window, or none. */
export const REPAIR = { OFF: 0, ON: 1, OFF_SILENT: -1 } as const;
/** Values of TCP_REPAIR_QUEUE. */
export const QUEUE = { RECEIVE: 1, SEND: 2 } as const;
/** What TCP_REPAIR_OPTIONS sets: kinds of the options of a SYN; `TCPOPT_*` of `net/tcp.h`. */
export const TCPOPT = { MSS: 2, WINDOW: 3, SACK_PERM: 4, TIMESTAMP: 8 } as const;

/** Where sequence numbers come to, modulo 2^32. */
export function advance(sequence: number, bytes: number): number {
  return (sequence + bytes) >>> 0;
}
