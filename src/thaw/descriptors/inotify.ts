/** inotify(7): watches with the numbers that they had. */
import { quoted } from '../../byte-text.js';
import { O } from '../../fcntl.js';
import { IN } from '../../inotify.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, flagNames } from '../calls.js';
import { Flag, type Op, type OpBase } from '../program.js';
import type { Bench, Place } from './bench.js';
import { setFlags } from './calls.js';
import { file } from './file.js';
import { dropFilling, planEvents, testEvents } from './inotify-events.js';
import type { KindPlanner, Tools } from './planner.js';

type Watch = OpenFileOf<'inotify'>['watches'][number];
type Event = OpenFileOf<'inotify'>['events'][number];

const NAMES = { IN_NONBLOCK: O.NONBLOCK, IN_CLOEXEC: O.CLOEXEC };
/** `_IOW('I', 0, __s32)` of linux/inotify.h; since Linux 4.16. */
const INOTIFY_IOC_SETNEXTWD = 0x4004_4900;
/** A mask that the kernel takes, and that no event matches. */
const NOTHING = IN.EXCL_UNLINK;

/** Plans a descriptor with its watches. They begin at the very end, so as not to tell of the thaw itself. */
export const inotify: KindPlanner<OpenFileOf<'inotify'>> = {
  make: ({ watches, events }, place, tools) => [
    ...tools.bench.create(
      (closeOnExec) => {
        // To empty it, until the watches are there.
        const bits = O.NONBLOCK | (closeOnExec ? O.CLOEXEC : 0);
        return call('inotify_init1', [bits], {
          label: `cannot make an inotify descriptor (${place.name})`,
          text: `inotify_init1(${flagNames(bits, NAMES, '0')})`,
        });
      },
      place.at,
      place.closeOnExec,
    ),
    ...testWatched(watches, place, tools),
    // Before anything is watched: what happens for them is nobody's concern.
    ...planEvents(events, place, tools.bench, (wd, path, mask) =>
      takeNumber({ wd, path, type: 'regular', mask }, place, tools.bench),
    ),
  ],
  start: ({ flags, watches, events, next }, place, { bench }) => {
    const ascending = [...watches].sort((a, b) => a.wd - b.wd);
    return [
      ...ascending.flatMap((watch) => takeNumber({ ...watch, mask: NOTHING }, place, bench)),
      ...dropFilling(events, place, bench),
      ...(watches.length > 0 ? empty(events, place, bench) : []),
      ...ascending.map((watch) => begin(watch, place, bench)),
      ...(next === null ? [] : [setNext(next, place)]),
      setFlags(place.at, flags),
    ];
  },
  check: ({ watches, events }, place, tools) => [
    ...testWatched(watches, place, tools),
    ...testEvents(events, place, tools.bench),
  ],
};

/** What is watched must be there, and be of the type that it was. */
export function testWatched(
  watches: readonly Pick<Watch, 'path' | 'type' | 'device'>[],
  place: Place,
  tools: Tools,
): Op[] {
  return watches.flatMap(({ path, type, device }) => {
    const flags = O.PATH | (type === 'symlink' ? O.NOFOLLOW : 0);
    return file.check!(
      { kind: 'file', type, path, device, flags, locks: [], offset: 0n, size: 0n, modified: null },
      place,
      tools,
    );
  });
}

/** A watch to be made. */
type Wanted = Pick<Watch, 'wd' | 'path' | 'type' | 'mask'>;

/**
 * The kernel counts the numbers up, from one that it can be told (`CONFIG_CHECKPOINT_RESTORE`): watches are made and
 * removed until it is the turn of the right one.
 */
function takeNumber(watch: Wanted, place: Place, bench: Bench): Op[] {
  const [again, low, reached] = [bench.mark(), bench.mark(), bench.mark()];
  const cell = bench.arena.cell();
  const label = labelOf(watch, place);
  const isNumber = (kind: 'equal' | 'atleast', jump?: string): Op => ({
    op: 'test',
    address: cell.cell,
    width: 4,
    mask: 0xffff_ffffn,
    check: { kind, expected: watch.wd, ...(jump === undefined ? {} : { jump }) },
    label,
    reason: `its number ${watch.wd} cannot be had again`,
    text: `test wd ${kind === 'equal' ? '==' : '>='} ${watch.wd}`,
  });
  return [
    setNext(watch.wd, place),
    { op: 'mark', name: again },
    add(watch, watch.mask, place, bench, { result: cell }),
    isNumber('atleast', low),
    { op: 'jump', to: reached },
    { op: 'mark', name: low },
    call('inotify_rm_watch', [place.at, cell], { label }),
    { op: 'jump', to: again },
    { op: 'mark', name: reached },
    isNumber('equal'),
  ];
}

/** The next watch gets this number, or the next above it that is free. */
function setNext(next: number, { at }: Place): Op {
  return call('ioctl', [at, INOTIFY_IOC_SETNEXTWD, next], {
    ...{ check: { kind: 'none' }, text: `ioctl(${at}, INOTIFY_IOC_SETNEXTWD, ${next})` },
  });
}

/** Reads what the removals have left: IN_IGNORED, for each. Behind events that are kept nothing has found room. */
function empty(events: readonly Event[], { at }: Place, bench: Bench): Op[] {
  const [more, done] = [bench.mark(), bench.mark()];
  const ops: Op[] = [
    { op: 'mark', name: more },
    call('read', [at, bench.scratch, 256], { check: { kind: 'ok', tolerated: ['EAGAIN'], jump: done } }),
    { op: 'jump', to: more },
    { op: 'mark', name: done },
  ];
  if (events.length === 0) return ops;
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, when: Flag.EVENTS_DROP }));
}

/** Gives a watch its events; it keeps its number as long as the path leads to the same file. */
function begin(watch: Watch, place: Place, bench: Bench): Op {
  return add(watch, watch.mask, place, bench, {
    check: { kind: 'equal', expected: watch.wd },
    reason: 'another file has taken its place meanwhile',
  });
}

function add(
  watch: Wanted,
  mask: number,
  place: Place,
  bench: Bench,
  extra: Pick<OpBase, 'check' | 'reason' | 'result'>,
): Op {
  const bits = (mask | (watch.type === 'symlink' ? IN.DONT_FOLLOW : 0)) >>> 0;
  return call('inotify_add_watch', [place.at, bench.arena.string(watch.path), bits], {
    label: labelOf(watch, place),
    text: `inotify_add_watch(${place.at}, ${quoted(watch.path)}, 0x${bits.toString(16)})`,
    ...extra,
  });
}

function labelOf({ path }: Wanted, { name }: Place): string {
  return `cannot watch ${path} (${name})`;
}
