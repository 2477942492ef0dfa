/** What waits to be read in a Unix domain socket. MSG_PEEK shows it, and nothing is consumed. */
import { closeSync, fstatSync, readFileSync } from 'node:fs';
import { peekAll, peekOffset } from '../../native/peek-all.js';
import type { UnixSocket } from '../../native/sock-diag.js';
import { unixSockets } from '../../native/sock-diag.js';
import { makeSocketPair, type Peeked, Poll, peek, pollNow, sendNow } from '../../native/sockets.js';
import { Sock } from '../../socket.js';
import { errnoOf } from '../read.js';
import { refuseOffset } from './peek-offset.js';
import { PassingRefusal, Refusal } from './refusal.js';
import { messagesOf, refuseUrgent } from './unix-messages.js';
import type { Peer } from './unix-view.js';

/** Content, whether it bears the process's own credentials, and what is on its way with it. */
export interface Queue {
  readonly content: Uint8Array[];
  readonly credentials: boolean;
  /** By message, whose those are; nothing where they tell no more than the process (SO_PASSPIDFD). */
  readonly senders: { readonly uid: number; readonly gid: number }[];
  /** What waits has told that the socket has SO_INQ. */
  readonly inq: boolean;
  /** By index of the message: numbers of the entries that it carries. */
  readonly passed: { message: number; descriptors: readonly number[] }[];
}

/** Of a socket in which nothing waits. */
export const EMPTY_QUEUE: Queue = { content: [], credentials: false, senders: [], inq: false, passed: [] };

/** What is known of a socket whose queue is looked at. */
export interface QueueContext {
  readonly pid: number;
  readonly socket: UnixSocket;
  readonly where: Peer;
  /** The socket at the other end. */
  readonly peer: UnixSocket | null;
  /** All that waits in it, where that was looked at already, as it carries descriptors. */
  readonly found: readonly Peeked[] | undefined;
  /** How many descriptors are on their way in it. */
  readonly carried: number;
}

/** Reads the queue of a socket. @throws Refusal for what cannot be seen, or not be put back */
export function captureQueue(copy: number, context: QueueContext): Queue {
  const { socket } = context;
  if (isPrivate(context)) return captureMessages(copy, context);
  if (context.found && socket.type !== Sock.STREAM) throw new PassingRefusal(WITHOUT_SENDER);
  const peeked = context.found ?? lookAtFront(copy, socket);
  if (peeked.length === 0) return EMPTY_QUEUE;
  if (socket.type === Sock.STREAM) {
    const seen = peeked.reduce((sum, { length }) => sum + length, 0);
    if (seen !== socket.queued)
      throw new Refusal(`of the ${socket.queued} bytes that wait in it only ${seen} can be seen`);
  } else checkMessage(peeked[0]!, context);
  return queueOf(peeked, context);
}

const WITHOUT_SENDER =
  'descriptors are on their way in it (SCM_RIGHTS), and others could send to it as well, or nobody any more';

/** Whether messages are kept apart that only the other end can send, which is there: to a name any datagram socket can. */
function isPrivate({ socket: { type, name, inode }, where, peer }: QueueContext): boolean {
  if (where !== 'inside' && where !== 'outside') return false;
  return type === Sock.SEQPACKET || (type === Sock.DGRAM && name.length === 0 && peer?.peer === inode);
}

/** What was seen, all of it. */
function queueOf(peeked: readonly Peeked[], { pid, carried }: QueueContext): Queue {
  if (peeked.some(({ more }) => more))
    throw new Refusal(
      'what waits in it carries labels (SO_PASSSEC), time stamps, or more descriptors than can be opened here',
    );
  const passed = peeked.flatMap(({ descriptors }, message) =>
    descriptors.length > 0 ? [{ message, descriptors }] : [],
  );
  const seen = passed.reduce((sum, { descriptors }) => sum + descriptors.length, 0);
  if (seen !== carried)
    throw new Refusal(`of the ${carried} descriptors on their way in it only ${seen} can be seen`);
  const ours = new Set(peeked.map((message) => isOurs(message, pid)));
  if (ours.size > 1) throw new Refusal('of the messages that wait in it only some bear credentials');
  const credentials = ours.has(true);
  const senders = credentials ? peeked.flatMap((message) => sendersOf(message)) : [];
  const inq = peeked.some((message) => message.inq);
  return { content: peeked.map(({ bytes }) => bytes), credentials, senders, inq, passed };
}

/** All messages of a socket to which only its peer can send. */
function captureMessages(copy: number, context: QueueContext): Queue {
  const { socket, where, peer, found } = context;
  // It has sent nothing that was not read.
  if (peer!.sent === 0) return EMPTY_QUEUE;
  const peeked = found ?? messagesOf(copy, socket, peer!.sent, false);
  const queue = queueOf(peeked, context);
  if (memoryOf(socket.type, queue.content) !== peer!.sent) {
    const why = 'of the messages that wait in it not all can be seen, or not all were sent to it';
    // Another process may have sent more meanwhile.
    throw where === 'outside' ? new PassingRefusal(why) : new Refusal(why);
  }
  return queue;
}

/** The front of the queue: of a stream all of it. */
function lookAtFront(copy: number, { type, queued, shutdown }: UnixSocket): Peeked[] {
  refuseUrgent(copy);
  // Without a message a read gives 0 here, as it does for an empty one.
  if (queued === 0 && (type !== Sock.DGRAM || shutdown & 1 || !(pollNow(copy) & Poll.IN))) return [];
  if (type === Sock.STREAM && peekOffset(copy) >= 0) return peekAll(copy, queued, 1);
  refuseOffset(copy);
  try {
    return [peek(copy, queued)];
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return [];
    throw error;
  }
}

/**
 * Where others could have sent as well, or nobody can any more, the first message is all that can be seen: it must be
 * the only one.
 */
function checkMessage({ length }: Peeked, { socket, where }: QueueContext): void {
  if (length !== socket.queued) {
    throw new PassingRefusal(
      'more than one message waits in it, and only the first can be seen without taking it out',
    );
  }
  // Only the other end can send to a connected socket of this type; and without content it cannot be told from the end.
  if (socket.type === Sock.SEQPACKET && where !== 'inside') return;
  throw new PassingRefusal('a datagram waits in it, and who sent it cannot be told');
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

/** Whether the kernel has noted down that the process sent a message, rather than nobody. */
function isOurs({ credentials, sender }: Peeked, pid: number): boolean {
  if (sender !== null && sender !== pid) {
    const whose =
      sender > 0 ? `process ${sender}` : 'a process that has ended, or is of another pid namespace';
    throw new Refusal(`what waits in it bears a pidfd of ${whose} (SO_PASSPIDFD)`);
  }
  if (credentials === null) return sender === pid;
  if (credentials[0] === 0) {
    const [nobody, nogroup] = overflowIds();
    if (credentials[1] === nobody && credentials[2] === nogroup) return sender === pid;
    throw new Refusal('what waits in it bears the credentials of a process of another pid namespace');
  }
  if (credentials[0] === pid) return true;
  throw new Refusal(`what waits in it bears the credentials of process ${credentials[0]}`);
}

/** What the kernel tells in place of ids where there are none. */
function overflowIds(): number[] {
  return ['uid', 'gid'].map((id) => Number(readFileSync(`/proc/sys/kernel/overflow${id}`, 'latin1')));
}

/** Under which ids the process sent a message, where its program is told. */
function sendersOf({ credentials }: Peeked): { uid: number; gid: number }[] {
  return credentials === null ? [] : [{ uid: credentials[1], gid: credentials[2] }];
}
