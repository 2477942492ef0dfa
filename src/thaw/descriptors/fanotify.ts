/** fanotify(7): marks begin at the very end, so as not to tell of the thaw itself. */
import { quoted } from '../../byte-text.js';
import { FAN } from '../../fanotify.js';
import { AT_FDCWD, O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench, Place } from './bench.js';
import { testWatched } from './inotify.js';
import type { KindPlanner } from './planner.js';

type Mark = OpenFileOf<'fanotify'>['marks'][number];

const OF = { inode: 0, mount: FAN.MARK_MOUNT, filesystem: FAN.MARK_FILESYSTEM } as const;

/** Plans a descriptor with its marks. */
export const fanotify: KindPlanner<OpenFileOf<'fanotify'>> = {
  make: (file, place, tools) => [
    ...tools.bench.create((closeOnExec) => create(file, closeOnExec, place), place.at, place.closeOnExec),
    ...testWatched(file.marks, place, tools),
  ],
  // The kernel shows the newest first.
  start: ({ marks }, place, { bench }) => [...marks].reverse().flatMap((mark) => begin(mark, place, bench)),
  check: ({ marks }, place, tools) => testWatched(marks, place, tools),
};

function create({ flags, init }: OpenFileOf<'fanotify'>, closeOnExec: boolean, { name }: Place): Op {
  const bits = init.flags | (flags & O.NONBLOCK ? FAN.NONBLOCK : 0) | (closeOnExec ? FAN.CLOEXEC : 0);
  return call('fanotify_init', [bits, init.eventFlags], {
    label: `cannot make a fanotify descriptor (${name})`,
    text: `fanotify_init(0x${bits.toString(16)}, 0x${init.eventFlags.toString(16)})`,
  });
}

/** What is told, then what of that is ignored. */
function begin({ of, flags, mask, ignored, path, type }: Mark, place: Place, bench: Bench): Op[] {
  const common = FAN.MARK_ADD | OF[of] | (type === 'symlink' ? FAN.MARK_DONT_FOLLOW : 0);
  const kept = flags & FAN.MARK_EVICTABLE;
  const ignoring = flags & FAN.MARK_IGNORE ? FAN.MARK_IGNORE : FAN.MARK_IGNORED_MASK;
  const surviving = flags & FAN.MARK_IGNORED_SURV_MODIFY;
  const add = (bits: number, events: number): Op =>
    call('fanotify_mark', [place.at, bits, events, AT_FDCWD, bench.arena.string(path)], {
      label: `cannot watch ${path} (${place.name})`,
      text: `fanotify_mark(${place.at}, 0x${bits.toString(16)}, 0x${events.toString(16)}, AT_FDCWD, ${quoted(path)})`,
    });
  return [
    ...(mask !== 0 ? [add(common | kept, mask)] : []),
    ...(ignored !== 0 ? [add(common | kept | ignoring | surviving, ignored)] : []),
  ];
}
