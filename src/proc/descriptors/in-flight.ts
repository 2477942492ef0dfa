/**
 * Descriptors on their way in Unix domain sockets (SCM_RIGHTS). A look at the messages (MSG_PEEK) gives us duplicates:
 * by them the descriptions are known, and captured, like those that have a number in the process.
 */
import { closeSync } from 'node:fs';
import { SocketState, type UnixSocket } from '../../native/sock-diag.js';
import type { Peeked } from '../../native/sockets.js';
import { Sock } from '../../socket.js';
import type { DescriptorChoices } from './choices.js';
import { type Entry, FIRST_IN_FLIGHT, readInFlight } from './entries.js';
import { Refusal } from './refusal.js';
import { messagesOf, piecesOf } from './unix-messages.js';
import { carriedIn, inodeOf, lookUpSockets } from './unix-view.js';

/** What is on its way in the sockets of a process. */
export interface InFlight {
  /** It was looked for. */
  readonly looked: boolean;
  /** One for each time that a description is on its way. */
  readonly entries: readonly Entry[];
  /** Our duplicates of them. */
  readonly copies: ReadonlySet<number>;
  /**
   * By inode, what waits in the sockets that carry some, with the numbers of `entries` for descriptors; or why that
   * cannot be seen.
   */
  readonly queues: ReadonlyMap<bigint, readonly Peeked[] | string>;
}

/** Nothing was looked for. */
export const NOTHING_IN_FLIGHT: InFlight = {
  looked: false,
  entries: [],
  copies: new Set(),
  queues: new Map(),
};

/**
 * Looks into all sockets of a stopped process, and into those on their way in them. The duplicates are open until
 * {@link closeInFlight}.
 * @param own the descriptors of the process
 * @param duplicate makes a duplicate of one of them
 */
export function findInFlight(
  pid: number,
  own: readonly Entry[],
  { drop, replace, inherit }: DescriptorChoices,
  duplicate: (fd: number) => number,
): InFlight {
  const carriers = own.filter((entry) => carriedIn(entry) > 0 && !isStandard(entry, own));
  const sockets = carriers.length > 0 ? lookUpSockets(pid) : new Map<bigint, UnixSocket>();
  const search = new Search(typeof sockets === 'string' ? new Map() : sockets, duplicate);
  const isLetGo = ({ fd }: Entry): boolean => drop.has(fd) || replace.has(fd) || inherit.has(fd);
  try {
    search.follow(
      carriers.filter((entry) => !isLetGo(entry)),
      false,
    );
    // What only those carry that the user lets go of goes with them: it is no other process's.
    search.follow(carriers.filter(isLetGo), true);
    return search;
  } catch (error) {
    closeInFlight(search);
    throw error;
  }
}

/** What was found so far. */
class Search implements InFlight {
  readonly looked = true;
  readonly entries: Entry[] = [];
  readonly copies = new Set<number>();
  readonly queues = new Map<bigint, readonly Peeked[] | string>();

  constructor(
    readonly sockets: ReadonlyMap<bigint, UnixSocket>,
    readonly duplicate: (fd: number) => number,
  ) {}

  /** Looks into sockets, and into those that are on their way in them. */
  follow(carriers: readonly Entry[], letGo: boolean): void {
    const all = [...carriers];
    // More are found while we go.
    for (const carrier of all) {
      const socket = this.sockets.get(inodeOf(carrier) ?? 0n);
      if (!socket || this.queues.has(socket.inode)) continue;
      const found = look(carrier, socket, this);
      if (typeof found === 'string') {
        this.queues.set(socket.inode, found);
        continue;
      }
      for (const { descriptors } of found) for (const copy of descriptors) this.copies.add(copy);
      const entered = found.map((message) => {
        const sent = message.descriptors.map((copy) => this.#enter(copy, carrier, letGo));
        all.push(...sent.filter((entry) => carriedIn(entry) > 0));
        return { ...message, descriptors: sent.map(({ fd }) => fd) };
      });
      this.queues.set(socket.inode, entered);
    }
  }

  #enter(copy: number, { fd, flight }: Entry, letGo: boolean): Entry {
    const number = FIRST_IN_FLIGHT + this.entries.length;
    const entry = readInFlight(number, { copy, carrier: flight?.carrier ?? fd, letGo });
    this.entries.push(entry);
    return entry;
  }
}

/** Closes our duplicates. */
export function closeInFlight({ copies }: InFlight): void {
  for (const copy of copies) closeSync(copy);
}

/** Whether it is one of 0, 1 and 2, which may become streams of the image. */
function isStandard({ stat }: Entry, own: readonly Entry[]): boolean {
  const standard = own.slice(0, 3).filter(({ fd }) => fd <= 2);
  return standard.some((one) => one.stat.ino === stat.ino && one.stat.dev === stat.dev);
}

/** All that waits in a socket, or why it cannot be seen. */
function look(carrier: Entry, socket: UnixSocket, { sockets, duplicate }: Search): Peeked[] | string {
  if (socket.state === SocketState.LISTEN) return NOT_ACCEPTED;
  const copy = carrier.flight?.copy ?? duplicate(carrier.fd);
  try {
    if (socket.type === Sock.STREAM) return piecesOf(copy, socket, carriedIn(carrier));
    const sender = sockets.get(socket.peer ?? 0n);
    return sender ? messagesOf(copy, socket, sender.sent, true) : WITHOUT_SENDER;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  } finally {
    if (!carrier.flight) closeSync(copy);
  }
}

const SENT = 'descriptors are on their way in it (SCM_RIGHTS)';
const NOT_ACCEPTED = `${SENT}, with connections that wait to be accepted`;
const WITHOUT_SENDER = `${SENT}, and who sent them cannot be told`;

/**
 * Why what is on its way in a socket cannot be carried, as far as it was looked for; `null` if it can.
 */
export function queueProblem(
  entry: Entry,
  { inode, state }: UnixSocket,
  { looked, queues }: InFlight,
): string | null {
  if (carriedIn(entry) === 0) return null;
  const found = queues.get(inode);
  if (typeof found === 'string') return found;
  if (state === SocketState.LISTEN) return NOT_ACCEPTED;
  return looked && !found ? `${SENT}, and it may become a stream of the image` : null;
}
