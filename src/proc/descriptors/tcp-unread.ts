/**
 * What a process has not read of a TCP connection. Where the peer has sent urgent data (MSG_OOB), a read ends at its
 * mark, and FIONREAD counts no further: what lies behind is looked at by an offset.
 */
import { type Making, SO, SOL } from '../../inet.js';
import { lookInto } from '../../kernel/open.js';
import { sockOf } from '../../kernel/sockets.js';
import { CONNECTED_STATES } from '../../native/inet-diag.js';
import { peekStream, peekStreamAt, peekUrgent } from '../../native/peek-all.js';
import { getOption, integerOption, Poll, pollNow } from '../../native/sockets.js';
import { fionread, isAtMark } from '../../native/syscalls.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { isEndedByPeer, KEPT_STATES, TCP } from '../../tcp.js';
import type { Entry } from './entries.js';
import { factsOf } from './inet-tables.js';
import type { KindContext } from './kind.js';
import { isHeldByOthers, refuseSharedOffset } from './peek-offset.js';
import { PassingRefusal, Refusal } from './refusal.js';

/** The bytes that can still be read, and where among them the urgent one is. */
export type Unread = Pick<OpenFileOf<'inet'>, 'input' | 'urgent'>;

/** `SK_MEMINFO_RMEM_ALLOC` */
const RECEIVED = 0;
const NONE = new Uint8Array(0);
const SHARED =
  'another process has it, too, and would peek behind its urgent data (MSG_OOB) as well while this looks there';

/**
 * Looks at what can still be read; nothing is consumed.
 * @param state of its connection, `net/tcp_states.h`
 * @throws Refusal where the kernel shows not all of it
 */
export function captureUnread(
  entry: Entry,
  copy: number,
  making: Making,
  state: number,
  context: KindContext,
): Unread {
  const memory = Buffer.from(getOption(copy, SOL.SOCKET, SO.MEMINFO)!).readUInt32LE(4 * RECEIVED);
  if (memory === 0) return { input: NONE, urgent: null };
  refuseSharedOffset(entry, copy, context);
  // First: more may come meanwhile, which FIONREAD then counts.
  const known = state === TCP.CLOSE ? null : countOf(entry, making, context);
  const size = fionread(copy);
  const seen = size === 0 ? NONE : peekStream(copy, size);
  const events = pollNow(copy);
  const waits = (events & Poll.PRI) !== 0;
  const marked = isAtMark(copy);
  // A look behind the end would take an error.
  const blind = state !== TCP.CLOSE || (events & Poll.ERR) !== 0;
  const isCut =
    seen.length < size || (known !== null && known > size) || (!blind && hasMore(entry, copy, size, context));
  if (!waits && !marked && !isCut) return { input: seen, urgent: null };
  const at = marked ? 0 : seen.length;
  if (known !== null && known <= at) {
    if (!waits) return { input: seen, urgent: null };
    throw new PassingRefusal('its urgent data has come before what precedes it');
  }
  if (isHeldByOthers(entry, context)) throw new Refusal(SHARED);
  const value = waits ? urgentByte(copy, at) : NONE;
  const behind = peekStreamAt(copy, at + 1, memory);
  if (behind === null || (waits && value.length === 0)) {
    throw new PassingRefusal('what is behind urgent data in it cannot be seen (before Linux 6.9)');
  }
  if (known !== null && at + 1 + behind.length < known) throw new Refusal('its input cannot be seen whole');
  const byte = waits ? value : new Uint8Array(1);
  const input = Uint8Array.from(Buffer.concat([seen.subarray(0, at), byte, behind]));
  return { input, urgent: { at, taken: !waits } };
}

/** Whether there is more behind what a read of a connection that has ended gives, which is then cut off at a mark. */
function hasMore(entry: Entry, copy: number, size: number, context: KindContext): boolean {
  if (!isHeldByOthers(entry, context)) return (peekStreamAt(copy, size, 1)?.length ?? 0) > 0;
  // A mark would be at the front, where it is seen.
  if (size === 0) return false;
  return lookInto(
    (kernel) => kernel.member('tcp_sock', sockOf(kernel, copy), 'urg_data') !== 0n,
    (why) => {
      throw new Refusal(`${SHARED}; whether there is any cannot be seen, as ${why}`);
    },
  );
}

/** Bytes that have arrived in order, the urgent one among them; `null` where the kernel does not tell. */
function countOf(entry: Entry, making: Making, context: KindContext): number | null {
  const facts = factsOf(entry, making, CONNECTED_STATES, context);
  if (facts === null) return null;
  const isEnd = KEPT_STATES.some(([number, name]) => number === facts.state && isEndedByPeer(name));
  // The end of the stream is counted, too, until it has been read.
  return facts.queued - Number(isEnd && facts.queued > 0);
}

function urgentByte(copy: number, at: number): Uint8Array {
  if (integerOption(copy, SO.OOBINLINE) === 0) return peekUrgent(copy);
  return (at === 0 ? peekStream(copy, 1) : peekStreamAt(copy, at, 1)) ?? NONE;
}
