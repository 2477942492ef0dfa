/** TCP connections that go on in the image (`--tcp keep`): all that it takes to make one again. */
import { SO, SOL } from '../../inet.js';
import { unconfirmed } from '../../native/inet.js';
import { getOption, Poll, pollNow } from '../../native/sockets.js';
import { peekSendQueue, queueEnd, unsentBytes } from '../../native/tcp-repair.js';
import type { TcpConnection } from '../../snapshot/tcp-connection.js';
import { advance, isEnded, isEndedByPeer, KEPT_STATES, TCP_OPTION } from '../../tcp.js';
import type { Entry } from './entries.js';
import { PassingRefusal } from './refusal.js';
import { endsOf } from './tcp-hold.js';

/** Bits of `tcpi_options`. */
const USES = { TIMESTAMPS: 1, SACK: 2, SCALE: 4, ECN: 8 } as const;

/** `sizeof (struct tcp_repair_window)` */
const WINDOW_SIZE = 20;

/** Why one with urgent data is refused. */
export const URGENT = 'it has urgent data (MSG_OOB) that was not read, which only --tcp close carries';

/** Runs `look` while a connection of the target is in repair mode. */
export type Repair = <T>(entry: Entry, copy: number, look: () => T) => T;

/**
 * Captures a connection whose packets are held.
 * @param entry the target's descriptor
 * @param copy a duplicate of it
 * @param input what was not read of it
 * @throws Refusal for what cannot be made again
 */
export function captureConnection(
  entry: Entry,
  copy: number,
  input: Uint8Array,
  repair: Repair,
  warn: (what: string) => void,
): TcpConnection {
  const ends = endsOf(copy);
  if (!ends) throw new PassingRefusal('its connection is being accepted (SYN_RECV), which is not carried');
  const events = pollNow(copy);
  if (events & Poll.PRI) throw new PassingRefusal(URGENT);
  if (events & Poll.ERR)
    throw new PassingRefusal('it has an error that was not read yet, which is not carried');
  const info = Buffer.from(getOption(copy, SOL.TCP, TCP_OPTION.INFO)!);
  const state = KEPT_STATES.find(([number]) => number === info[0])![1];
  const uses = info[5]!;
  if (uses & USES.ECN) warn('goes on without explicit congestion notification (ECN)');
  const shutForReading = (events & Poll.RDHUP) !== 0 && !isEndedByPeer(state);
  const common = {
    ...{ state, ...ends, input, shutForReading },
    scale: uses & USES.SCALE ? { send: info[6]! & 15, receive: info[6]! >> 4 } : null,
    selective: (uses & USES.SACK) !== 0,
    stamped: (uses & USES.TIMESTAMPS) !== 0,
    currentSegment: word(copy, SOL.TCP, TCP_OPTION.MAXSEG),
    timestamp: word(copy, SOL.TCP, TCP_OPTION.TIMESTAMP),
    clamp: word(copy, SOL.TCP, TCP_OPTION.WINDOW_CLAMP),
    sendBuffer: word(copy, SOL.SOCKET, SO.SNDBUF),
    receiveBuffer: word(copy, SOL.SOCKET, SO.RCVBUF),
    locks: getOption(copy, SOL.SOCKET, SO.BUF_LOCK)?.[0] ?? 0,
  };
  const queues = repair(entry, copy, () => queuesOf(copy, state, input.length));
  return { ...common, ...queues };
}

/** What only repair mode shows. */
function queuesOf(copy: number, state: TcpConnection['state'], unread: number) {
  const none = new Uint8Array(0);
  const [end, received] = [queueEnd(copy, 'SEND'), queueEnd(copy, 'RECEIVE')];
  const segment = word(copy, SOL.TCP, TCP_OPTION.MAXSEG);
  const repairWindow = Buffer.from(getOption(copy, SOL.TCP, TCP_OPTION.REPAIR_WINDOW, WINDOW_SIZE)!);
  const window = [0, 4, 8, 12, 16].map((at) => repairWindow.readUInt32LE(at)) as TcpConnection['window'];
  const seen = { segment, window };
  if (state === 'syn-sent') {
    return {
      ...{ ...seen, sendSequence: advance(end, -1), receiveSequence: 0 },
      ...{ unconfirmed: none, unsent: none, endUnsent: false },
    };
  }
  // The end of a stream takes one number.
  const [pending, waiting] = [unconfirmed(copy), unsentBytes(copy)];
  const ended = isEnded(state);
  const confirmed = ended && pending === 0;
  const endUnsent = ended && waiting > 0;
  const endPending = ended && pending > 0;
  const queue = peekSendQueue(copy, pending - Number(endPending));
  const unsent = waiting - Number(endUnsent);
  return {
    ...seen,
    sendSequence: advance(end, -pending - Number(confirmed)),
    receiveSequence: advance(received, -unread - Number(isEndedByPeer(state))),
    unconfirmed: queue.subarray(0, queue.length - unsent),
    unsent: queue.subarray(queue.length - unsent),
    endUnsent,
  };
}

function word(copy: number, level: number, option: number): number {
  return Buffer.from(getOption(copy, level, option)!).readUInt32LE(0);
}
