/** epoll(7) sets with their members. */
import { kcmpEpoll } from '../../native/syscalls.js';
import { errnoOf } from '../read.js';
import type { DescriptorChoices } from './choices.js';
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
      if (isReplaced(watched, context.target.choices))
        context.warnings.push(watchedInstead(entry!.fd, watched));
      // As with close(2), a member leaves the set with the last descriptor of its description.
      return file === null ? [] : [{ fd: line.fd, file, events: line.events, data: line.data }];
    });
    return { kind: 'epoll', flags: entry!.info.flags, members };
  },
};

/** Whether the user puts something in the place of a descriptor that may be no stream. */
export function isReplaced(fd: number, { replace, inherit }: DescriptorChoices): boolean {
  return replace.has(fd) || (fd > 2 && inherit.has(fd));
}

/** What the user puts in the place of a member may be always ready, and the kernel refuses to watch that. */
export function watchedInstead(set: number, fd: number): string {
  return `descriptor ${set} (epoll set): it watches what takes the place of descriptor ${fd} only if that can be watched, as a regular file and /dev/null cannot`;
}

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
 * A descriptor of the file that a set watches, one that the user does not let go of if there is any: usually the number
 * under which it was added. That may mean another file by now, when the watched one lives on under another number. A
 * socket has one description, and its inode tells. For other files the kernel is asked.
 */
function findWatched(
  epoll: Entry,
  line: EpollLine,
  nth: number,
  large: boolean,
  { pid, target, fileOf }: KindContext,
): number {
  const set = placeOf(pid, epoll);
  const watches = (entry: Entry): boolean => {
    if (
      isInode(entry, line) &&
      (entry.protocol !== null || (large && entry === direct && isFifo(entry.stat)))
    )
      return true;
    const place = placeOf(pid, entry);
    return kcmpEpoll(place.pid, place.fd, set.pid, set.fd, line.fd, nth) === 0;
  };
  const isCarried = ({ fd }: Entry): boolean => fileOf(fd) !== null;
  const direct = target.entry(line.fd);
  try {
    if (direct && isCarried(direct) && watches(direct)) return direct.fd;
    const others = target.entries.filter(
      (entry) => entry !== direct && (line.inode === null || entry.stat.ino === line.inode),
    );
    const other =
      others.find((entry) => isCarried(entry) && watches(entry)) ??
      [...(direct ? [direct] : []), ...others].find((entry) => !isCarried(entry) && watches(entry));
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
