/** What waits to be read in a Unix domain socket. MSG_PEEK shows it, and nothing is consumed. */
import { closeSync, fstatSync } from 'node:fs';
import { peekAll } from '../../native/peek-all.js';
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
  const { socket, where } = context;
  if (socket.type !== Sock.STREAM && where === 'inside' && socket.name.length === 0) {
    return captureMessages(copy, context);
  }
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

/** All messages of a socket that only its peer, which the process has, can send to. */
function captureMessages(copy: number, { socket, peer, pid }: QueueContext): Queue {
  // It has sent nothing that was not read.
  if (peer!.sent === 0) return EMPTY;
  refuseOffset(copy);
  const most = Math.min(Math.ceil(peer!.sent / LEAST), MOST);
  const size = socket.type === Sock.SEQPACKET ? socket.queued : peer!.sent;
  if (most * size > ROOM) throw new Refusal('more waits in it than can be looked at');
  const peeked = peekAll(copy, size, most);
  // Behind the last message, what was shut down gives empty ones without end.
  if (socket.shutdown & 1) while (peeked.at(-1)?.length === 0) peeked.pop();
  if (peeked.some(({ more }) => more)) throw new Refusal('what waits in it carries descriptors or labels');
  const content = peeked.map(({ bytes }) => bytes);
  if (memoryOf(socket.type, content) !== peer!.sent) {
    throw new Refusal('of the messages that wait in it not all can be seen, or not all were sent to it');
  }
  const ours = new Set(peeked.map((message) => isOurs(message, pid)));
  if (ours.size > 1) throw new Refusal('of the messages that wait in it only some bear credentials');
  return { content, credentials: ours.has(true) };
}

/** Bytes that a message takes at least, and how many are looked at. */
const LEAST = 256;
const MOST = 1024;
/** Bytes that are set aside to read them. */
const ROOM = 2 ** 30;

function refuseOffset(copy: number): void {
  if (integerOption(copy, SO.PEEK_OFF) < 0) return;
  throw new Refusal(
    'something waits in it, and it peeks at an offset (SO_PEEK_OFF), which a look would move',
  );
}

/** The front of the queue: of a stream all of it. */
function look(copy: number, { type, queued, shutdown }: UnixSocket): Peeked | null {
  // Without a message a read gives 0 here, as it does for an empty one.
  if (queued === 0 && (type !== Sock.DGRAM || shutdown & 1)) return null;
  refuseOffset(copy);
  try {
    return peek(copy, queued, integerOption(copy, SO.PASSCRED) !== 0);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return null;
    throw error;
  }
}

/**
 * Where others could have sent as well, or nobody can any more, the first message is all that can be seen: it must be
 * the only one.
 */
function checkMessage({ length }: Peeked, { socket, where }: QueueContext): void {
  if (length !== socket.queued) {
    throw new Refusal(
      'more than one message waits in it, and only the first can be seen without taking it out',
    );
  }
  // Only the other end can send to a connected socket of this type; and without content it cannot be told from the end.
  if (socket.type === Sock.SEQPACKET && where !== 'inside') return;
  throw new Refusal('a datagram waits in it, and who sent it cannot be told');
}

/** The memory that the kernel counts for messages, found by sending some like them. */
function memoryOf(type: number, messages: readonly Uint8Array[]): number {
  const [from, to] = makeSocketPair(type);
  try {
    for (const bytes of messages) sendNow(from, bytes);
    return unixSockets().get(fstatSync(from, { bigint: true }).ino)?.sent ?? 0;
  } catch (error) {
    if (errnoOf(error) === 'EMSGSIZE' || errnoOf(error) === 'EAGAIN')
      throw new Refusal('more waits in it than this user may send');
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
