/** TCP connections as an image has them. */
import * as z from 'zod';
import { bytes, index, int, socketAddress } from './fields.js';

const sequence = int.min(0).max(0xffff_ffff);

/** A TCP connection that goes on in the image (`--tcp keep`). */
export const tcpConnectionSchema = z.object({
  state: z.enum(['established', 'syn-sent', 'fin-wait-1', 'fin-wait-2', 'close-wait', 'closing', 'last-ack']),
  local: socketAddress,
  peer: socketAddress,
  /**
   * Sequence number of the first byte that the peer has not confirmed; of a SYN that was sent: its own; of an
   * end that was confirmed: its own.
   */
  sendSequence: sequence,
  /** Sequence number of the first byte of `input`. */
  receiveSequence: sequence,
  /** What the peer has sent and the program has not read. */
  input: bytes,
  /** What was sent and not confirmed. */
  unconfirmed: bytes,
  /** What waits to be sent. */
  unsent: bytes,
  /** The end of our stream, where the program has ended it, waits behind `unsent`. */
  endUnsent: z.boolean(),
  /** The program reads no further than what has come (SHUT_RD), while the peer may go on. */
  shutForReading: z.boolean().default(false),
  /** The most that fits into a segment, by what both sides have said. */
  segment: int.min(1).max(0xffff),
  /** What fits into one by what is known of the way, without the options in its header. */
  currentSegment: int.min(1).max(0xffff),
  /** Factors of the windows as powers of two; `null`: not in use. */
  scale: z.object({ send: int.min(0).max(14), receive: int.min(0).max(14) }).nullable(),
  selective: z.boolean(),
  /** Time stamps are in use. */
  stamped: z.boolean(),
  /** TCP_TIMESTAMP: what the next segment's would have been. */
  timestamp: sequence,
  /** `struct tcp_repair_window`: snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup. */
  window: z.tuple([sequence, sequence, sequence, sequence, sequence]),
  /** TCP_WINDOW_CLAMP. */
  clamp: index,
  /** SO_SNDBUF and SO_RCVBUF as getsockopt(2) tells them; SO_BUF_LOCK. */
  sendBuffer: index,
  receiveBuffer: index,
  locks: index,
});

/** See {@link tcpConnectionSchema}. */
export type TcpConnection = z.infer<typeof tcpConnectionSchema>;
