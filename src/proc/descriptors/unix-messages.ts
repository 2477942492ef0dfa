/** All that waits in a Unix domain socket, message by message, with duplicates of the descriptors that it carries. */
import { lastBeginnings, peekAll } from '../../native/peek-all.js';
import type { UnixSocket } from '../../native/sock-diag.js';
import { type Peeked, Poll, pollNow } from '../../native/sockets.js';
import { Sock } from '../../socket.js';
import { refuseOffset } from './peek-offset.js';
import { Refusal } from './refusal.js';

/** Bytes that a message takes at least, and how many are looked at. */
const LEAST = 256;
const MOST = 1024;
/** Bytes that are set aside to read them. */
const ROOM = 2 ** 30;

/**
 * The messages of a socket that keeps them apart.
 * @param sent bytes of memory that its messages take
 * @param descriptors receive duplicates of those that are on their way, which the caller closes
 * @throws Refusal
 */
export function messagesOf(copy: number, socket: UnixSocket, sent: number, descriptors: boolean): Peeked[] {
  refuseOffset(copy);
  const most = Math.min(Math.ceil(sent / LEAST), MOST);
  const size = socket.type === Sock.SEQPACKET ? socket.queued : sent;
  refuseMany(most, size);
  const messages = peekAll(copy, size, most, descriptors);
  return socket.shutdown & 1 ? withoutEnd(messages) : messages;
}

/**
 * A stream in pieces: each message that carries descriptors, with duplicates of them, which the caller closes, and
 * what lies between those.
 * @param carried how many descriptors there are
 * @throws Refusal
 */
export function piecesOf(copy: number, { queued }: UnixSocket, carried: number): Peeked[] {
  refuseUrgent(copy);
  // Each read but the last ends behind a message that carries some.
  const most = carried + 1;
  if (most > MOST) throw new Refusal('more descriptors are on their way in it than can be looked at');
  refuseMany(most, queued);
  let end = 0;
  const reads = withoutEnd(peekAll(copy, queued, most, true)).map((read) => {
    end += read.length;
    return { read, offset: end - read.length, length: read.length };
  });
  // A message has a byte at least, so that a read of one is all of it.
  const carrying = reads.filter(({ read, length }) => read.descriptors.length > 0 && length > 1);
  const found = carrying.length > 0 ? lastBeginnings(copy, carrying) : [];
  const beginnings = new Map(found.map((bytes, i) => [carrying[i]!.read, bytes]));
  return reads.flatMap(({ read }) => cut(read, beginnings.get(read) ?? 0));
}

/** A read, and what in it comes before the message that carries descriptors. */
function cut(read: Peeked, at: number): Peeked[] {
  if (at === 0) return [read];
  const { bytes, length } = read;
  return [
    { ...read, bytes: bytes.subarray(0, at), length: at, descriptors: [] },
    { ...read, bytes: bytes.subarray(at), length: length - at },
  ];
}

/** Behind the last message, what was shut down gives empty ones without end. */
function withoutEnd(messages: readonly Peeked[]): Peeked[] {
  let end = messages.length;
  while (end > 0 && messages[end - 1]!.length === 0 && messages[end - 1]!.descriptors.length === 0) end--;
  return messages.slice(0, end);
}

/** @throws Refusal where something waits in a stream beside the stream */
export function refuseUrgent(copy: number): void {
  if (pollNow(copy) & Poll.PRI) throw new Refusal('urgent data waits in it (MSG_OOB)');
}

function refuseMany(most: number, size: number): void {
  if (most * size > ROOM) throw new Refusal('more waits in it than can be looked at');
}
