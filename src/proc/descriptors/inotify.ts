/** inotify(7): watches of files, by paths that lead to them. */
import { privateOf } from '../../kernel/objects.js';
import { lookInto } from '../../kernel/open.js';
import { showsWatchFlags } from '../../native/inotify.js';
import { fionread } from '../../native/syscalls.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { deviceNumbers } from '../objects.js';
import type { Entry } from './entries.js';
import { nextNumber, unreadEvents } from './inotify-events.js';
import type { DescriptorKind } from './kind.js';
import { PassingRefusal } from './refusal.js';
import { fileType } from './regular.js';
import type { Target } from './target.js';
import { findWatched } from './watched-files.js';
import { parseWatches, type Watch } from './watches.js';

/** Descriptors made by inotify_init1(2). */
export const inotify: DescriptorKind = {
  matches: ({ link }) => link === 'anon_inode:inotify',
  describe: ({ link }) => `inotify, ${link}`,
  problem: lostProblem,
  capture: ({ entries: [entry] }, { withCopy, warnings, target }) => {
    const { fd, info } = entry!;
    const { watches, found } = search(entry!, target);
    if (watches.length > 0 && !showsWatchFlags()) {
      warnings.push(
        `descriptor ${fd} is an inotify: this kernel (before 5.19) does not tell IN_ONESHOT and IN_EXCL_UNLINK of its watches; they are taken as without`,
      );
    }
    return {
      kind: 'inotify',
      flags: info.flags,
      ...withCopy(fd, (copy) => seeInside(copy, watches)),
      watches: watches.map((watch) => {
        const { path, stat } = found.get(watch)!;
        const type = fileType(stat)!;
        const device = type === 'device' ? deviceNumbers(stat.rdev) : null;
        return { wd: watch.wd, mask: watch.mask, path, type, device };
      }),
    };
  },
};

/** What only the kernel itself knows, and only root is told. */
function seeInside(copy: number, watches: readonly Watch[]): Pick<OpenFileOf<'inotify'>, 'events' | 'next'> {
  const unread = fionread(copy);
  return lookInto(
    (kernel) => {
      const group = privateOf(kernel, copy);
      return {
        events: unread > 0 ? unreadEvents(kernel, group, watches) : [],
        next: nextNumber(kernel, group),
      };
    },
    (why) => {
      if (unread === 0) return { events: [], next: null };
      throw new PassingRefusal(
        `${unread} bytes of events in it were not read yet, and cannot be without being consumed: ${why}`,
      );
    },
  );
}

interface Found {
  readonly watches: readonly Watch[];
  readonly found: ReturnType<typeof findWatched>;
}

/** Looked for once, although asked twice. */
const searches = new WeakMap<Entry, Found>();

function search(entry: Entry, target: Target): Found {
  const known = searches.get(entry);
  if (known) return known;
  const watches = parseWatches(entry.info.text);
  const found = { watches, found: findWatched(target, watches) };
  searches.set(entry, found);
  return found;
}

/** Names the first watch of a file to which no path was found. */
function lostProblem(entry: Entry, target: Target): string | null {
  const { watches, found } = search(entry, target);
  const lost = watches.filter((watch) => !found.has(watch));
  if (lost.length === 0) return null;
  const others = lost.length > 1 ? `, nor to those of ${lost.length - 1} more` : '';
  return `no path was found to the file that its ${describe(lost[0]!)} is of${others}`;
}

function describe({ wd, inode, device: { major, minor } }: Watch): string {
  return `watch ${wd} (inode ${inode} on device ${major}:${minor})`;
}
