/** Datagrams that wait in a socket. MSG_PEEK at an offset shows all of those of UDP, and nothing is consumed. */
import { AF, isIpv4, type Making, protocolNumber, scopeOf } from '../../inet.js';
import { datagramMemory } from '../../native/datagram-memory.js';
import { interfaceName } from '../../native/inet.js';
import { ANY_STATE } from '../../native/inet-diag.js';
import { BATCH, type Message, peekMessages } from '../../native/peek-all.js';
import { Poll, pollNow } from '../../native/sockets.js';
import { fionread } from '../../native/syscalls.js';
import { PAGE_SIZE } from '../../page.js';
import { type Datagram, LONGEST_DATAGRAM, MOST_DATAGRAMS } from '../../snapshot/datagram.js';
import { errnoName, errnoNumber } from '../../thaw/errno.js';
import { readControl } from './datagram-control.js';
import { type Entry, nameOf } from './entries.js';
import { factsOf } from './inet-tables.js';
import type { KindContext } from './kind.js';
import { once } from './once.js';
import { refuseOffset } from './peek-offset.js';
import { leaveBehind, noteEmpty, Refusal } from './refusal.js';

/** Bytes that are set aside for a datagram, beside its content. */
const ROOM = { name: 28, control: 512 } as const;
/** Bytes of memory that a datagram takes at least. */
const LEAST = 512;

/** Reads what waits in a socket of datagrams, with a warning where that is not carried. */
export function captureDatagrams(
  entry: Entry,
  copy: number,
  making: Making,
  context: KindContext,
): Datagram[] {
  const what = `${nameOf(entry)} (${entry.protocol} socket)`;
  const lose = (why: string): Datagram[] => {
    leaveBehind(context, `${what} has datagrams that were not received yet: they are not carried${why}`);
    return [];
  };
  const events = pollNow(copy);
  if (events & Poll.ERR)
    leaveBehind(context, `${what} has an error that was not received yet: it is not carried`);
  if (!(events & Poll.IN)) return [];
  if (!/^udp/.test(making.protocol)) {
    // What was shut down is always readable.
    return events & Poll.RDHUP && fionread(copy) === 0 ? [] : lose('');
  }
  refuseOffset(copy);
  if (events & Poll.ERR) return lose(', as a look at them would take the error');
  try {
    refuseShared(entry, context);
    const queued = factsOf(entry, making, ANY_STATE, context)?.queued ?? 0;
    const messages = peekQueue(copy, queued);
    noteEmpty(
      context,
      messages.map(({ bytes }) => bytes),
    );
    const datagrams = messages.map((message) => readDatagram(message, copy));
    if (queued > memoryOf(datagrams, making)) {
      context.warnings.push(
        `${what} may hold empty datagrams that were looked at before, which the kernel does not show: they are not carried`,
      );
    }
    return datagrams;
  } catch (error) {
    if (error instanceof Refusal) return lose(`, as ${error.message}`);
    throw error;
  }
}

/** Another process may read meanwhile, and would do so at our offset; or write. @throws Refusal */
export function refuseShared({ link }: Entry, context: KindContext): void {
  const own = context.target.entries.filter(({ protocol }) => /^UDP/.test(protocol ?? ''));
  const asked = once(context, 'holders of UDP sockets', () => holdersOf(own, context));
  // One that is on its way in a socket is not among them.
  const { held } = asked.links.has(link) ? asked : holdersOf([{ link }], context);
  if (held.has(link)) throw new Refusal('another process has the socket, too');
}

/** Processes that have the sockets, too. What we have of them are duplicates. */
function holdersOf(sockets: readonly Pick<Entry, 'link'>[], { target }: KindContext) {
  const links = new Set(sockets.map(({ link }) => link));
  const { held } = target.others.find((link, _, holder) =>
    links.has(link) && holder !== process.pid ? link : null,
  );
  return { links, held };
}

/**
 * All messages, from the first on.
 * @param queued bytes of memory that they take; 0 where that is not known
 */
function peekQueue(copy: number, queued: number): Message[] {
  const batch = queued === 0 ? BATCH : Math.min(Math.ceil(queued / LEAST) + 1, BATCH);
  // None is longer than the memory of all, but one that has come since.
  const content = queued === 0 ? LONGEST_DATAGRAM : Math.min(Math.max(queued, PAGE_SIZE), LONGEST_DATAGRAM);
  const all: Message[] = [];
  let bytes = 0;
  for (;;) {
    const { messages, errno } = peekMessages(copy, { ...ROOM, content }, batch, bytes);
    if (errno !== 0 && errno !== errnoNumber('EAGAIN')) {
      throw new Refusal(`they cannot be looked at (${errnoName(errno)})`);
    }
    all.push(...messages);
    bytes += messages.reduce((sum, { length }) => sum + length, 0);
    if (messages.length < batch) return all;
    if (all.length + batch > MOST_DATAGRAMS) throw new Refusal(`there may be more than ${MOST_DATAGRAMS}`);
  }
}

function readDatagram(message: Message, copy: number): Datagram {
  const { bytes, length, name } = message;
  // UDP_GRO makes one of many.
  if (length > bytes.length) throw new Refusal(`one of them has ${length} bytes`);
  if (scopeOf(name) !== 0) throw new Refusal('one of them came from a link-local address');
  return {
    source: name,
    content: bytes,
    ...readControl(message, (index) => interfaceName(copy, index)),
  };
}

/** The memory that such datagrams take if they were sent on this host; 0 where that cannot be told. */
function memoryOf(datagrams: readonly Datagram[], making: Making): number {
  const of = (family: number, some: readonly Datagram[]): number => {
    if (some.length === 0) return 0;
    const lengths = some.map(({ content }) => content.length);
    const memory = datagramMemory(family, protocolNumber(making), new Set(lengths));
    return lengths.reduce((sum, length) => sum + memory.get(length)!, 0);
  };
  const isV4 = ({ source }: Datagram): boolean => isIpv4(source);
  try {
    return (
      of(AF.INET, datagrams.filter(isV4)) +
      of(
        AF.INET6,
        datagrams.filter((one) => !isV4(one)),
      )
    );
  } catch {
    return 0;
  }
}
