/** epoll(7) sets with their members. */
import { kcmpEpoll } from '../../native/syscalls.js';
import { errnoOf } from '../read.js';
import { type Entry, placeOf } from './entries.js';
import { type EpollLine, parseEpollLines } from './fdinfo.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { isFifo } from './pipe-ends.js';
import { Refusal } from './refusal.js';

/** Sets made by epoll_create1(2), with their members. */
export const epoll: DescriptorKind = {
  matches: ({ link }) => link === 'anon_inode:[eventpoll]',
  describe: () => 'epoll set',
  problem: () => null,
  capture: ({ entries: [entry] }, context) => {
    const lines = parseEpollLines(entry!.info.text);
    const seen = new Map<number, number>();
    const members = lines.flatMap((line) => {
      const nth = seen.get(line.fd) ?? 0;
      seen.set(line.fd, nth + 1);
      const watched = findWatched(entry!, line, nth, lines.length > LARGE, context);
      const file = context.fileOf(watched);
      // A descriptor that the user lets go of leaves the sets in which it was.
      return file === null ? [] : [{ fd: line.fd, file, events: line.events, data: line.data }];
    });
    return { kind: 'epoll', flags: entry!.info.flags, members };
  },
};

/** The first set among the descriptors that watches the file of one; `null` if none does. */
export function watcherOf({ stat }: Entry, entries: readonly Entry[]): number | null {
  const set = entries.find((entry) =>
    parseEpollLines(entry.info.text).some(
      ({ inode, device }) => inode === stat.ino && (device ?? stat.dev) === stat.dev,
    ),
  );
  return set?.fd ?? null;
}

/**
 * The kernel looks through the whole set for each member that it is asked about: in larger ones, pipes are known by
 * their inode, too. That fails only where one end has taken the number of the other, which lives on elsewhere.
 */
const LARGE = 1000;

function isInode({ stat }: Entry, { inode, device }: EpollLine): boolean {
  return stat.ino === inode && stat.dev === device;
}

/**
 * A descriptor of the file that a set watches: usually the number under which it was added. That
 * may mean another file by now, when the watched one lives on under another number. A socket has one
 * description, and its inode tells. For other files the kernel is asked.
 */
function findWatched(
  epoll: Entry,
  line: EpollLine,
  nth: number,
  large: boolean,
  { pid, target }: KindContext,
): number {
  const set = placeOf(pid, epoll);
  const watches = (entry: Entry): boolean => {
    const place = placeOf(pid, entry);
    return kcmpEpoll(place.pid, place.fd, set.pid, set.fd, line.fd, nth) === 0;
  };
  const direct = target.entry(line.fd);
  if (direct && isInode(direct, line) && (direct.protocol !== null || (large && isFifo(direct.stat)))) {
    return direct.fd;
  }
  try {
    if (direct && watches(direct)) return direct.fd;
    const other = target.entries.find(
      (entry) => entry !== direct && (line.inode === null || entry.stat.ino === line.inode) && watches(entry),
    );
    if (other) return other.fd;
  } catch (error) {
    const code = errnoOf(error);
    // Kernels before 4.13 do not compare: there the number has to do.
    if ((code === 'EOPNOTSUPP' || code === 'EINVAL') && direct) return direct.fd;
    throw error;
  }
  throw new Refusal(
    `it watches a file, added as descriptor ${line.fd}, that no descriptor of the process means any more`,
  );
}
