/**
 * Events of inotify that were not read. Only the kernel makes them, of what happens to files: so it happens again, to
 * files on a file system that nobody else sees, one thing after the other, to watches that have the numbers of old.
 *
 * That a watch is removed makes an event as well. It is lost where the queue is full, as it is kept from the first to
 * the last: filled with what will be taken away again, with room for no more than the next event. The kernel notes
 * that it has lost something, once, behind what it was filled with. So whatever is in front of this note, and the note
 * itself, is read in the end ({@link dropFilling}), when the watches of the process have their numbers.
 */
import { bytesOfText } from '../../byte-text.js';
import { O } from '../../fcntl.js';
import { eventSize, IN, INOTIFY_EVENT } from '../../inotify.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, testField } from '../calls.js';
import { type Cell, Flag, type Op } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, duplicate, openAt } from './calls.js';
import {
  actOf,
  FOLDERS,
  make,
  pathOf,
  removeWatch,
  rename,
  type Stage,
  watchedPath,
} from './inotify-acts.js';

type Event = OpenFileOf<'inotify'>['events'][number];

const FIONREAD = 0x541b;
const FSCONFIG_CMD_CREATE = 6;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
/** `struct inotify_event` */
const EVENT_MASK = 4n;
/** What fills the queue happens to this file. */
const FILLER = 'f';

/** How a watch gets its number: see `takeNumber` of inotify.ts. */
export type Watcher = (wd: number, path: string, mask: number) => Op[];

/**
 * Fills a new inotify with the events, behind what {@link dropFilling} takes away.
 * @param watch makes a watch with a number
 */
export function planEvents(events: readonly Event[], place: Place, bench: Bench, watch: Watcher): Op[] {
  if (events.length === 0) return [];
  const label = labelOf(place);
  const stage: Stage = { place, bench, root: bench.temporary(), label };
  const ops = onlyKept([
    ...mount(stage),
    ...FOLDERS.map((name) => make(stage, name, true)),
    ...fill(stage),
    // The note that something was lost does not count: one more is read than the first event needs.
    readOne(stage),
    ...happenings(events).flatMap((happening) => happen(happening, stage, watch)),
    close(stage.root),
  ]);
  bench.closed(stage.root);
  return ops;
}

/** Under `--check`: whether a file system can be had. */
export function testEvents(events: readonly Event[], place: Place, bench: Bench): Op[] {
  if (events.length === 0) return [];
  const cell = bench.arena.cell();
  return onlyKept([openFileSystem(cell, labelOf(place), bench), close(cell)]);
}

/** Takes away all but the events. */
export function dropFilling(events: readonly Event[], place: Place, bench: Bench): Op[] {
  if (events.length === 0) return [];
  const stage = { place, bench, label: labelOf(place) };
  const [again, done] = [bench.mark(), bench.mark()];
  const left = events.reduce((sum, { name }) => sum + eventSize(bytesOfText(name).length), 0);
  return onlyKept([
    { op: 'mark', name: again },
    readOne(stage),
    {
      ...{ op: 'test', address: bench.scratch + EVENT_MASK, width: 4, mask: BigInt(IN.Q_OVERFLOW) },
      check: { kind: 'equal', expected: 0, jump: done },
      text: 'test event.mask & IN_Q_OVERFLOW',
    },
    { op: 'jump', to: again },
    { op: 'mark', name: done },
    count(place, bench.scratch, stage.label),
    testField(bench.scratch, 4, left, {
      ...{ label: stage.label, reason: 'this kernel makes others of what happened' },
      text: `test ${left} bytes can be read`,
    }),
  ]);
}

/** Operations that `--events=drop` leaves out. */
function onlyKept(ops: readonly Op[]): Op[] {
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, unless: (op.unless ?? 0) | Flag.EVENTS_DROP }));
}

function labelOf({ name }: Place): string {
  return `cannot put back the events that were not read (${name})`;
}

/** A file system in memory that is mounted nowhere. */
function mount({ bench, root, label }: Stage): Op[] {
  const [fileSystem, mounted] = [bench.arena.cell(), bench.arena.cell()];
  bench.opened(root);
  return [
    openFileSystem(fileSystem, label, bench),
    call('fsconfig', [fileSystem, FSCONFIG_CMD_CREATE, 0, 0, 0], { label }),
    call('fsmount', [fileSystem, FSMOUNT_CLOEXEC, 0], { label, result: mounted }),
    duplicate(mounted, root, true),
    close(mounted),
    close(fileSystem),
  ];
}

function openFileSystem(result: Cell, label: string, { arena }: Bench): Op {
  return call('fsopen', [arena.string('tmpfs'), FSOPEN_CLOEXEC], {
    label: `${label}, which takes CAP_SYS_ADMIN (--events=drop leaves them out)`,
    ...{ result, text: 'fsopen("tmpfs", FSOPEN_CLOEXEC)' },
  });
}

/** Until nothing more goes in. */
function fill(stage: Stage): Op[] {
  const { place, bench, root, label } = stage;
  const { arena } = bench;
  const [wd, opened, before, after] = [arena.cell(), arena.cell(), arena.cell(), arena.cell()];
  const again = bench.mark();
  const path = pathOf(root, FILLER);
  return [
    make(stage, FILLER, false),
    call('inotify_add_watch', [place.at, arena.string(path), IN.OPEN | IN.CLOSE_NOWRITE], {
      ...{ label, result: wd, text: `inotify_add_watch(${place.at}, "${path}", IN_OPEN|IN_CLOSE_NOWRITE)` },
    }),
    { op: 'mark', name: again },
    count(place, before.cell, label),
    openAt(arena, root, FILLER, O.RDONLY | O.CLOEXEC, { label, result: opened }),
    close(opened),
    count(place, after.cell, label),
    {
      ...{ op: 'compare', left: before.cell, right: after.cell, size: 4 },
      check: { kind: 'equal', expected: 0, jump: again },
      text: 'test nothing more goes in',
    },
    call('inotify_rm_watch', [place.at, wd], { label }),
  ];
}

/** Bytes that can be read. */
function count({ at }: Place, address: bigint, label: string): Op {
  return call('ioctl', [at, FIONREAD, address], { label, text: `ioctl(${at}, FIONREAD, [])` });
}

/** Makes room for one event. */
function readOne({ place: { at }, bench, label }: Pick<Stage, 'place' | 'bench' | 'label'>): Op {
  return call('read', [at, bench.scratch, INOTIFY_EVENT], {
    ...{ label, reason: 'they are more than fs.inotify.max_queued_events permits' },
    check: { kind: 'equal', expected: INOTIFY_EVENT },
    text: `read(${at}, [], ${INOTIFY_EVENT})`,
  });
}

/** What happens at once: one event, or the two of a rename. */
type Happening = readonly [Event] | readonly [Event, Event];

function happenings(events: readonly Event[]): Happening[] {
  return events.flatMap((event, i): Happening[] => {
    const next = events[i + 1];
    if (isRename(events[i - 1], event)) return [];
    return [next && isRename(event, next) ? [event, next] : [event]];
  });
}

function isRename(from: Event | undefined, to: Event): boolean {
  return Boolean(from && from.mask & IN.MOVED_FROM && to.mask & IN.MOVED_TO && from.cookie === to.cookie);
}

/** Lets it happen, with room for nothing else. */
function happen(happening: Happening, stage: Stage, watch: Watcher): Op[] {
  const [first, second] = happening;
  const act = second ? rename(first, second, stage) : actOf(first, stage);
  // The two events of one watch come by the mask that has both.
  const watches = first.wd === second?.wd ? [{ ...first, mask: first.mask | second.mask }] : [...happening];
  return [
    ...act.before,
    // Of folders the kernel says so by itself.
    ...watches.flatMap(({ wd, mask, name }, i) =>
      watch(wd, watchedPath(name, i, stage), mask & ~IN.ISDIR & ~IN.IGNORED || IN.EXCL_UNLINK),
    ),
    ...happening.map(() => readOne(stage)),
    ...act.event,
    // Where the file itself is gone, so is its watch.
    ...watches.map(({ wd }) => removeWatch(wd, stage)),
    ...act.after,
  ];
}
