/** What waits to be read in a Unix domain socket. MSG_PEEK shows it, and nothing is consumed. */
import { closeSync, fstatSync } from 'node:fs';
import type { UnixSocket } from '../../native/sock-diag.js';
import { unixSockets } from '../../native/sock-diag.js';
import {
  integerOption,
  makeSocketPair,
  type Peeked,
  Poll,
  peek,
  pollNow,
  sendNow,
} from '../../native/sockets.js';
import { SO, Sock } from '../../socket.js';
import { errnoOf } from '../read.js';
import { Refusal } from './refusal.js';
import type { Peer } from './unix-view.js';

/** Content, and whether it bears the process's own credentials. */
export interface Queue {
  readonly content: Uint8Array[];
  readonly credentials: boolean;
}

const EMPTY: Queue = { content: [], credentials: false };

/** What is known of a socket whose queue is looked at. */
export interface QueueContext {
  readonly pid: number;
  readonly socket: UnixSocket;
  readonly where: Peer;
  /** The socket at the other end. */
  readonly peer: UnixSocket | null;
}

/** Reads the queue of a socket. @throws Refusal for what cannot be seen, or not be put back */
export function captureQueue(copy: number, context: QueueContext): Queue {
  const { socket } = context;
  if (pollNow(copy) & Poll.PRI) throw new Refusal('urgent data waits in it (MSG_OOB)');
  const peeked = look(copy, socket);
  if (!peeked) return EMPTY;
  if (peeked.more) throw new Refusal('what waits in it carries descriptors or labels');
  if (socket.type === Sock.STREAM) {
    if (peeked.length !== socket.queued)
      throw new Refusal(`of the ${socket.queued} bytes that wait in it only ${peeked.length} can be seen`);
  } else checkMessage(peeked, context);
  return { content: [peeked.bytes], credentials: isOurs(peeked, context.pid) };
}

/** The front of the queue: of a stream all of it. */
function look(copy: number, { type, queued, shutdown }: UnixSocket): Peeked | null {
  // Without a message a read gives 0 here, as it does for an empty one.
  if (queued === 0 && (type !== Sock.DGRAM || shutdown & 1)) return null;
  if (integerOption(copy, SO.PEEK_OFF) >= 0) {
    throw new Refusal(
      'something waits in it, and it peeks at an offset (SO_PEEK_OFF), which a look would move',
    );
  }
  try {
    return peek(copy, queued, integerOption(copy, SO.PASSCRED) !== 0);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return null;
    throw error;
  }
}

/** The first message is all that can be seen: it must be the only one. */
function checkMessage({ bytes, length }: Peeked, { socket, where, peer }: QueueContext): void {
  const more = new Refusal(
    'more than one message waits in it, and only the first can be seen without taking it out',
  );
  if (length !== socket.queued) throw more;
  // Only the other end can send to a connected socket of this type; and without content it cannot be told from the end.
  if (socket.type === Sock.SEQPACKET && where !== 'inside') return;
  if (where !== 'inside' || socket.name.length > 0)
    throw new Refusal('a datagram waits in it, and who sent it cannot be told');
  if (peer!.sent !== memoryOf(socket.type, bytes)) throw more;
}

/** The memory that the kernel counts for one message, found by sending one like it. */
function memoryOf(type: number, bytes: Uint8Array): number {
  const [from, to] = makeSocketPair(type);
  try {
    sendNow(from, bytes);
    return unixSockets().get(fstatSync(from, { bigint: true }).ino)?.sent ?? 0;
  } catch (error) {
    if (errnoOf(error) === 'EMSGSIZE')
      throw new Refusal('a message waits in it that is larger than this user may send');
    throw error;
  } finally {
    closeSync(from);
    closeSync(to);
  }
}

function isOurs({ credentials }: Peeked, pid: number): boolean {
  if (credentials === null || credentials[0] === 0) return false;
  if (credentials[0] === pid) return true;
  throw new Refusal(`what waits in it bears the credentials of process ${credentials[0]}`);
}
