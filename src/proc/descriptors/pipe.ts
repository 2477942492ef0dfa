/** Pipes and FIFOs that the process has to itself, with what is in them. */

import { closeSync, readSync } from 'node:fs';
import { O } from '../../fcntl.js';
import { addon } from '../../native/addon.js';
import { Poll, pollNow } from '../../native/sockets.js';
import {
  fcntlGetPipeSize,
  fcntlSetPipeSize,
  fionread,
  SPLICE_F_NONBLOCK,
  tee,
} from '../../native/syscalls.js';
import type { DescriptorTable } from '../../snapshot/descriptors.js';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { pathProblem } from './paths.js';
import { endOf, isFifo } from './pipe-ends.js';
import { Refusal } from './refusal.js';

const SYS_PIPE2 = 293;
const MOST = 0x7fff_0000;

/** Pipes and FIFOs of which no other process has an end. */
export const pipe: DescriptorKind = {
  matches: ({ stat, info }) => isFifo(stat) && !(info.flags & O.PATH),
  describe: ({ link }) => (isNamed(link) ? `FIFO, ${link}` : `pipe, ${link}`),
  problem: (entry, target) => {
    if (target.otherEnd(entry) === 'outside') {
      return 'another process has an end of it, and a connection to the outside cannot be frozen';
    }
    return isNamed(entry.link) ? pathProblem(entry, target) : null;
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

/** Pipes that were captured already, by inode. */
const captured = new WeakMap<KindContext, Map<string, number>>();

function internPipe(entry: Entry, context: KindContext): number {
  const known = captured.get(context) ?? new Map<string, number>();
  captured.set(context, known);
  const key = `${entry.stat.dev} ${entry.stat.ino}`;
  const index = known.get(key) ?? context.pipes.push(capturePipe(entry, context)) - 1;
  known.set(key, index);
  return index;
}

function capturePipe(entry: Entry, context: KindContext): DescriptorTable['pipes'][number] {
  const { target, withCopy } = context;
  const readable = target.pipe(entry.stat).reader;
  // What nobody can read any more is lost to the process, too.
  const content = readable ? withCopy(readable.fd, readWithoutConsuming) : [];
  const unwritten = isNamed(entry.link) && isUnwritten(entry, context);
  if (unwritten && content.length > 0) {
    throw new Refusal('it holds data of a writer that its reader has not seen');
  }
  return {
    capacity: withCopy(entry.fd, fcntlGetPipeSize),
    content,
    path: isNamed(entry.link) ? entry.link : '',
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

/**
 * What is in a pipe, without taking it out: tee(2) puts it into a pipe of ours as well. A read
 * gives one packet in packet mode, and everything otherwise.
 */
function readWithoutConsuming(fd: number): Uint8Array[] {
  const size = fionread(fd);
  if (size === 0) return [];
  const [reader, writer] = makePipe();
  try {
    enlarge(writer, fcntlGetPipeSize(fd));
    let rest = tee(fd, writer, MOST, SPLICE_F_NONBLOCK);
    if (rest < size) {
      throw new Refusal(
        `of the ${size} bytes in it only ${rest} fit into a pipe that this user may make (fs.pipe-max-size)`,
      );
    }
    const content: Uint8Array[] = [];
    while (rest > 0) {
      const buffer = new Uint8Array(rest);
      const got = readSync(reader, buffer);
      content.push(buffer.slice(0, got));
      rest -= got;
    }
    return content;
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

function makePipe(): [number, number] {
  const fds = new Int32Array(2);
  addon.syscall(SYS_PIPE2, new Uint8Array(fds.buffer), O.CLOEXEC | O.NONBLOCK);
  return [fds[0]!, fds[1]!];
}

/**
 * Asks the kernel whether the other end of a pipe is closed.
 * @param copy a duplicate of the target's descriptor: whether a reader has missed a writer is known
 * to its own open file description only
 * @returns `null` for the read end of a FIFO that may never have had a writer
 */
export function isOtherEndClosed({ link, info }: Entry, copy: number): boolean | null {
  if (pollNow(copy) & (Poll.ERR | Poll.HUP)) return true;
  return isNamed(link) && endOf(info.flags) === 'read' ? null : false;
}
