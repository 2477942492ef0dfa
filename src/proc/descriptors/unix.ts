/** Unix domain sockets. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { filePath } from '../../byte-text.js';
import { errnoOf } from '../../errno.js';
import { SocketState, type UnixSocket } from '../../native/sock-diag.js';
import { type Peeked, Poll, pollNow } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { Sock } from '../../socket.js';
import { isAbstract, isPath, socketName, socketPath } from '../../unix-name.js';
import type { Entry } from './entries.js';
import { queueProblem } from './in-flight.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { leadsHere, NOT_FROM_HERE } from './paths.js';
import { leaveBehind, noteEmpty, PassingRefusal, Refusal } from './refusal.js';
import type { Target } from './target.js';
import { folderOf, movedNode, nodeAt } from './unix-node.js';
import { captureOptions } from './unix-options.js';
import { peerCredentialsOf } from './unix-peer.js';
import { captureQueue, EMPTY_QUEUE, type Queue } from './unix-queue.js';
import { carriedIn, inodeOf, type UnixView, unixView } from './unix-view.js';

const TYPES: Readonly<Record<number, OpenFileOf<'unix'>['type']>> = {
  [Sock.STREAM]: 'stream',
  [Sock.DGRAM]: 'datagram',
  [Sock.SEQPACKET]: 'seqpacket',
};

/** Unix domain sockets whose other end, if they have one, is in the process, too. */
export const unix: DescriptorKind = {
  matches: (entry, target) => {
    if (inodeOf(entry) === null) return false;
    const view = unixView(target);
    return view.blind !== null || view.socket(entry) !== null;
  },
  describe: ({ link }) => `socket, ${link}`,
  problem: (entry, target) => {
    const view = unixView(target);
    const socket = view.socket(entry);
    if (!socket) return view.blind;
    return problemOf(entry, socket, view, target);
  },
  capture: ({ entries: [entry] }, context) => {
    const socket = unixView(context.target).socket(entry!);
    if (!socket) throw new Refusal('it is gone');
    return context.withCopy(entry!.fd, (copy) => captureSocket(entry!, copy, socket, context));
  },
};

function problemOf(entry: Entry, socket: UnixSocket, view: UnixView, target: Target): string | null {
  if (view.isShared(entry)) return 'another process has it open, too';
  const stuck = queueProblem(entry, socket, target.inFlight);
  if (stuck !== null) return stuck;
  const where = view.peer(socket);
  if (where === 'pending') return 'its connection has not been accepted yet';
  const peer = view.peerSocket(socket);
  if (where === 'outside' && target.choices.unixPeer !== 'close') {
    const name = peer!.name.length > 0 ? ` ${socketName(peer!.name)},` : '';
    const why = `it is connected to another process,${name} which stays behind`;
    const stuck = target.withCopy?.(entry.fd, (copy) => stuckProblem(entry, copy, socket, target)) ?? null;
    return stuck === null
      ? `${why} (--unix-peer close: the program finds it closed)`
      : `${why}, and cannot be found closed, as ${stuck}`;
  }
  if (where === 'inside' && !isMutual(socket, peer!) && !isReachable(peer!, view, target)) {
    return 'it is connected to a socket that is not connected to it, and cannot be found by a name';
  }
  return folderProblem(socket, view, target);
}

/** Why what it is in would not be carried with its other end closed, either; `null` if it would. */
function stuckProblem(entry: Entry, copy: number, socket: UnixSocket, target: Target): string | null {
  try {
    isFailed(copy, socket, target);
    queueIn(entry, copy, socket, target);
    captureOptions(copy, socket.type);
    return null;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.message;
  }
}

/** Both are connected to each other, as socketpair(2) does it. */
function isMutual(socket: UnixSocket, peer: UnixSocket): boolean {
  return peer.peer === socket.inode && peer !== socket;
}

function isReachable(peer: UnixSocket, view: UnixView, target: Target): boolean {
  return isAbstract(peer.name) || nodeAt(target, peer, view) !== null;
}

/** A socket that listens is bound anew; one that was accepted only bears the name. */
function folderProblem(socket: UnixSocket, view: UnixView, target: Target): string | null {
  if (!isPath(socket.name)) return null;
  const folder = folderOf(target, socket, view);
  if (folder === undefined) {
    return `its name ${socketName(socket.name)} is a relative path, which leads to it neither from the working directory nor from another folder that the process has open`;
  }
  const path = socketPath(socket.name, folder);
  if (isGone(target.root + dirname(path)))
    return `the folder of its name ${path} is gone, without which no socket can have that`;
  if (view.isAccepted(socket)) return null;
  return leadsHere(dirname(path), target) ? null : NOT_FROM_HERE;
}

function isGone(folder: string): boolean {
  try {
    return !statSync(filePath(folder)).isDirectory();
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '');
  }
}

function captureSocket(
  entry: Entry,
  copy: number,
  socket: UnixSocket,
  context: KindContext,
): Omit<OpenFileOf<'unix'>, 'locks'> {
  const { info, fd } = entry;
  const { target } = context;
  const view = unixView(target);
  const type = TYPES[socket.type];
  if (type === undefined) throw new Refusal(`sockets of type ${socket.type} are not carried`);
  const where = view.peer(socket);
  const listens = socket.state === SocketState.LISTEN;
  if (listens && socket.queued > 0) {
    leaveBehind(
      context,
      `descriptor ${fd}: ${socket.queued} connections that wait to be accepted at ${socketName(socket.name)} are not carried`,
    );
  }
  const gone = where === 'closed' || where === 'outside';
  const failed = isFailed(copy, socket, target);
  const node = nodeAt(target, socket, view) ?? movedNode(target, socket, view);
  if (node === undefined) {
    context.warnings.push(
      `descriptor ${fd}: its file is not at ${socketName(socket.name)} any more, and too much is in the folder to look for it there: nothing will lead to it in the image`,
    );
  } else if (!node && listens && isPath(socket.name)) {
    context.warnings.push(
      `descriptor ${fd}: nothing leads to ${socketName(socket.name)} any more, at which it listens; nor will anything in the image`,
    );
  }
  const { passed, inq, ...queue } = listens ? EMPTY_QUEUE : queueIn(entry, copy, socket, target);
  noteEmpty(context, queue.content);
  return {
    kind: 'unix',
    flags: info.flags,
    type,
    name: socket.name,
    folder: folderOf(target, socket, view) ?? null,
    accepted: view.isAccepted(socket),
    node: node ?? null,
    backlog: listens ? socket.sent : null,
    peer: where === 'inside' ? context.fileOf(view.entry(socket.peer!)!.fd) : null,
    gone: gone ? { reset: failed } : null,
    ...(where === 'outside' ? { letGo: true } : {}),
    shutdown: gone && type !== 'datagram' ? 3 : socket.shutdown,
    peerCredentials: peerCredentialsOf(fd, copy, context),
    ...queue,
    passed: passed.map(({ message, descriptors }) => ({
      message,
      files: descriptors.map((number) => context.fileOf(number)!),
    })),
    ...captureOptions(copy, socket.type, inq),
  };
}

/**
 * Whether an error waits in it, of the end of its connection.
 * @throws Refusal for any other error
 */
function isFailed(copy: number, socket: UnixSocket, target: Target): boolean {
  if (!(pollNow(copy) & Poll.ERR)) return false;
  if (unixView(target).peer(socket) === 'closed' && socket.type !== Sock.DGRAM) return true;
  throw new PassingRefusal('an error waits in it, of which the program has not been told yet');
}

/** What waits in a socket that does not listen. @throws Refusal */
function queueIn(entry: Entry, copy: number, socket: UnixSocket, target: Target): Queue {
  const view = unixView(target);
  const found = target.inFlight.queues.get(socket.inode) as readonly Peeked[] | undefined;
  const [where, peer] = [view.peer(socket), view.peerSocket(socket)];
  return captureQueue(copy, { pid: target.pid, socket, where, peer, found, carried: carriedIn(entry) });
}
