/** Descriptors that become the streams of the image: terminals, and connections of 0, 1 and 2 to the outside. */

import { constants } from 'node:fs';
import { O } from '../../fcntl.js';
import { fionread } from '../../native/syscalls.js';
import type { Entry } from './entries.js';
import type { DescriptorKind } from './kind.js';
import { isFifo } from './pipe-ends.js';
import type { Target } from './target.js';
import { isDevTty, preferred, terminalStream } from './terminal.js';
import { unixView } from './unix-view.js';

const { S_IFMT, S_IFSOCK } = constants;

/** Descriptors that take the place of a stream of whoever runs the image. */
export const stream: DescriptorKind = {
  matches: (entry, target) => streamOf(entry, target) !== null,
  describe: ({ link }) => link,
  problem: () => null,
  capture: ({ entries: [entry], stream, sharedWithStream }, context) => {
    const { fd, link, stat, info } = entry!;
    const terminal = terminalStream(entry!, context.target.terminal) !== null;
    if (!terminal && stream === 0 && isFifo(stat)) warnOfContent(fd, context);
    return {
      kind: 'stream',
      flags: info.flags,
      stream: stream!,
      was: terminal ? `terminal ${link}` : link,
      reopen: !terminal || sharedWithStream ? 'shared' : isDevTty(stat) ? 'controlling' : 'own',
    };
  },
};

function warnOfContent(
  fd: number,
  { withCopy, warnings, target }: Parameters<DescriptorKind['capture']>[1],
): void {
  const bytes = withCopy(fd, fionread);
  if (bytes > 0 && !target.choices.drop.has(fd)) {
    warnings.push(
      `descriptor ${fd} becomes a stream of the image: ${bytes} bytes still unread in its pipe stay behind`,
    );
  }
}

/** The stream that takes the place of a descriptor, or `null`. */
export function streamOf(entry: Entry, target: Target): number | null {
  if (entry.fd <= 2 && target.choices.inherit.has(entry.fd)) return entry.fd;
  const terminal = terminalStream(entry, target.terminal);
  if (terminal !== null) return terminal;
  if (entry.info.flags & O.PATH) return null;
  const isStream = (candidate: Entry): boolean => isOutward(candidate, target);
  if (entry.fd <= 2) return isStream(entry) ? entry.fd : null;
  if (!isConnection(entry)) return null;
  // The same end of the same pipe, or the same socket, as one of the streams.
  const same = standard(target).filter(
    (other) =>
      other.stat.ino === entry.stat.ino &&
      other.stat.dev === entry.stat.dev &&
      (other.info.flags & O.ACCMODE) === (entry.info.flags & O.ACCMODE) &&
      isStream(other),
  );
  return same.length > 0
    ? preferred(
        entry.info.flags,
        same.map(({ fd }) => fd),
      )
    : null;
}

/** 0, 1 and 2, as far as they are open. Entries ascend, and there may be very many. */
function standard({ entries }: Target): readonly Entry[] {
  return entries.slice(0, 3).filter(({ fd }) => fd <= 2);
}

function isConnection({ stat }: Entry): boolean {
  return isFifo(stat) || (Number(stat.mode) & S_IFMT) === S_IFSOCK;
}

/**
 * Whether 0, 1 or 2 is connected to another process. A pipe whose reader has gone counts: writing
 * into it would only end the program. One whose writer has gone does not: it is carried, with what
 * is left in it and the end of file behind.
 */
function isOutward(entry: Entry, target: Target): boolean {
  if (!isConnection(entry)) return false;
  if (!isFifo(entry.stat)) return !isInsideSocket(entry, target);
  const end = target.otherEnd(entry);
  return end === 'outside' || (end === 'closed' && (entry.info.flags & O.ACCMODE) === O.WRONLY);
}

/** A Unix domain socket that is connected to another of the process. */
function isInsideSocket(entry: Entry, target: Target): boolean {
  const view = unixView(target);
  const socket = view.socket(entry);
  return socket !== null && view.peer(socket) === 'inside' && !view.isShared(entry);
}
