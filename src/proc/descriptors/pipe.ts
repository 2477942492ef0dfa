/** Pipes and FIFOs that the process has to itself, with what is in them. */

import { closeSync, readSync } from 'node:fs';
import { O } from '../../fcntl.js';
import { Poll, pollNow } from '../../native/sockets.js';
import {
  fcntlGetPipeSize,
  fcntlSetPipeSize,
  fionread,
  makePipe,
  SPLICE_F_NONBLOCK,
  tee,
} from '../../native/syscalls.js';
import type { DescriptorTable } from '../../snapshot/descriptors.js';
import { inodeKey } from '../inode.js';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import { withoutName } from './folder.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { warnOfAttributes } from './memory.js';
import { pathProblem } from './paths.js';
import { endOf, isFifo } from './pipe-ends.js';
import { Refusal } from './refusal.js';
import type { Target } from './target.js';

const MOST = 0x7fff_0000;

/** Pipes and FIFOs of which no other process has an end. */
export const pipe: DescriptorKind = {
  matches: ({ stat, info }) => isFifo(stat) && !(info.flags & O.PATH),
  describe: ({ link }) => (isNamed(link) ? `FIFO, ${link}` : `pipe, ${link}`),
  problem: (entry, target) => {
    if (target.otherEnd(entry) === 'outside') {
      return 'another process has an end of it, and a connection to the outside cannot be frozen';
    }
    return isNamed(entry.link) && !isRemoved(entry) ? pathProblem(entry, target) : null;
  },
  capture: ({ entries: [entry] }, context) => ({
    kind: 'pipe',
    flags: entry!.info.flags,
    pipe: internPipe(entry!, context),
    end: endOf(entry!.info.flags),
  }),
};

function isNamed(link: string): boolean {
  return link.startsWith('/');
}

/** A FIFO that was deleted. A pipe counts as having a link. */
function isRemoved({ link, stat }: Entry): boolean {
  return isNamed(link) && stat.nlink === 0n;
}

/** Pipes that were captured already, by inode. */
const captured = new WeakMap<KindContext, Map<string, number>>();

function internPipe(entry: Entry, context: KindContext): number {
  const known = captured.get(context) ?? new Map<string, number>();
  captured.set(context, known);
  const key = inodeKey(entry.stat);
  const index = known.get(key) ?? context.pipes.push(capturePipe(entry, context)) - 1;
  known.set(key, index);
  return index;
}

function capturePipe(entry: Entry, context: KindContext): DescriptorTable['pipes'][number] {
  const { target, withCopy } = context;
  if (isRemoved(entry)) withCopy(entry.fd, (copy) => warnOfAttributes(entry, copy, context));
  const readable = target.pipe(entry.stat).reader;
  // What nobody can read any more is lost to the process, too.
  const content = readable ? withCopy(readable.fd, readWithoutConsuming) : [];
  const packets =
    readable && content.length > 0
      ? withCopy(readable.fd, (copy) => countPackets(copy, content, entry, context))
      : 0;
  const unwritten = isNamed(entry.link) && isUnwritten(entry, context);
  if (unwritten && content.length > 0) {
    throw new Refusal('it holds data of a writer that its reader has not seen');
  }
  return {
    capacity: withCopy(entry.fd, fcntlGetPipeSize),
    content,
    ...(packets > 0 ? { packets } : {}),
    path: isNamed(entry.link) && !isRemoved(entry) ? entry.link : '',
    ...(isRemoved(entry) ? { removed: withoutName(entry.stat, entry.link) } : {}),
    ...(unwritten ? { unwritten } : {}),
  };
}

/** Whether the readers of a FIFO have seen no writer, and there is none. Each of them knows for itself. */
function isUnwritten({ stat }: Entry, { target, withCopy }: KindContext): boolean {
  if (target.pipe(stat).writer) return false;
  const ends = target.entries
    .filter(({ stat: { dev, ino }, info }) => ino === stat.ino && dev === stat.dev && !(info.flags & O.PATH))
    .map(({ fd }) => withCopy(fd, (copy) => (pollNow(copy) & Poll.HUP) !== 0));
  if (new Set(ends).size > 1) throw new Refusal('of its readers only some have seen a writer');
  return !ends[0];
}

/** What is in a pipe, without taking it out. A read ends behind a packet, or with all there is. */
function readWithoutConsuming(fd: number): Uint8Array[] {
  if (fionread(fd) === 0) return [];
  return withTee(fd, (reader) => {
    const content: Uint8Array[] = [];
    for (let rest = fionread(reader); rest > 0; rest = fionread(reader)) {
      const buffer = new Uint8Array(rest);
      content.push(buffer.slice(0, readSync(reader, buffer)));
    }
    return content;
  });
}

/**
 * How many of the pieces in a pipe are packets, which only the last may not be: a read of a part of a packet
 * (pipe2(2) O_DIRECT) throws its rest away.
 * @throws Refusal where a packet follows bytes that are none
 */
function countPackets(
  fd: number,
  content: readonly Uint8Array[],
  entry: Entry,
  { target }: KindContext,
): number {
  const first = taken(fd, content, () => 1);
  const most = taken(fd, content, (length) => Math.max(1, length - 1));
  return content.filter(({ length }, i) => {
    const last = i === content.length - 1;
    // Of a single byte nobody can tell; it matters only to what is written behind it.
    if (length === 1) return !last || writesPackets(entry, target);
    if (first[i] === length) return true;
    if (most[i] === length || !last)
      throw new Refusal('it holds packets (O_DIRECT) behind bytes that were written without');
    return false;
  }).length;
}

/** Whether what the process writes into a pipe is a packet. */
function writesPackets({ stat: { dev, ino } }: Entry, { entries }: Target): boolean {
  return entries.some(
    ({ stat, info: { flags } }) =>
      stat.ino === ino && stat.dev === dev && endOf(flags) !== 'read' && (flags & O.DIRECT) !== 0,
  );
}

/** How much a read of a part of each piece takes out of a pipe. */
function taken(fd: number, content: readonly Uint8Array[], part: (length: number) => number): number[] {
  return withTee(fd, (reader) =>
    content.map(({ length }) => {
      const before = fionread(reader);
      readSync(reader, new Uint8Array(part(length)));
      const gone = before - fionread(reader);
      if (gone < length) readSync(reader, new Uint8Array(length - gone));
      return gone;
    }),
  );
}

/** Has tee(2) put what is in a pipe into one of ours as well. */
function withTee<T>(fd: number, use: (reader: number) => T): T {
  const size = fionread(fd);
  const [reader, writer] = makePipe();
  try {
    enlarge(writer, fcntlGetPipeSize(fd));
    const rest = tee(fd, writer, MOST, SPLICE_F_NONBLOCK);
    if (rest < size) {
      throw new Refusal(
        `of the ${size} bytes in it only ${rest} fit into a pipe that this user may make (fs.pipe-max-size)`,
      );
    }
    return use(reader);
  } finally {
    closeSync(reader);
    closeSync(writer);
  }
}

function enlarge(pipe: number, capacity: number): void {
  try {
    fcntlSetPipeSize(pipe, capacity);
  } catch (error) {
    // Smaller, it may still hold what is there.
    if (errnoOf(error) !== 'EPERM') throw error;
  }
}

/**
 * Asks the kernel whether the other end of a pipe is closed.
 * @param copy a duplicate of the target's descriptor: whether a reader has missed a writer is known
 * to its own open file description only
 * @returns `null` where nobody tells: a FIFO with something in it, of whose writers this reader has seen none
 */
export function isOtherEndClosed({ link, info }: Entry, copy: number): boolean | null {
  if (pollNow(copy) & (Poll.ERR | Poll.HUP)) return true;
  return isNamed(link) && endOf(info.flags) === 'read' ? hasNoWriter(copy) : false;
}

/** Of an empty pipe tee(2) copies nothing: at once where there is no writer, else because it would have to wait. */
function hasNoWriter(reader: number): boolean | null {
  if (fionread(reader) > 0) return null;
  const [ours, writer] = makePipe();
  try {
    return tee(reader, writer, 1, SPLICE_F_NONBLOCK) === 0 ? true : null;
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return false;
    throw error;
  } finally {
    closeSync(ours);
    closeSync(writer);
  }
}
