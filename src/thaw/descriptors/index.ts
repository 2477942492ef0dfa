/** Plans the descriptor table: a pure function from the captured table to operations. */
import { modelOf } from '../../snapshot/descriptors.js';
import type { Process } from '../../snapshot/schema.js';
import { sharesOf } from '../../snapshot/shared-address.js';
import type { Arena } from '../arena.js';
import { type Cell, Flag, type Op, type Operand } from '../program.js';
import type { ThreadFolders } from '../thread-folders.js';
import { Bench, type Place, STANDARD } from './bench.js';
import { closeRange, duplicate, unlessCheck } from './calls.js';
import { innerFirst } from './epoll.js';
import { planExternals } from './external.js';
import { datagramPlaces, fillDatagrams } from './inet-datagrams.js';
import { plannerOf } from './kinds.js';
import { planLocks } from './locks.js';
import { planFolders, testPlaces } from './nameless.js';
import { openNetlink } from './netlink-calls.js';
import { planObjects } from './objects.js';
import { planOwners } from './owners.js';
import { fillNumbers, fillPipes, makePipes, pipePlaces, sealFifos } from './pipe.js';
import type { Tools } from './planner.js';
import { fillPtys, makePtys } from './pty.js';
import { testScratch } from './scratch.js';
import { planSignals } from './signals.js';
import { placeStandard, planStreamFlags, planStreams } from './stream.js';
import { removeHold, testHold } from './tcp-hold.js';
import { endOrphans } from './tcp-orphans.js';
import { planTerminal } from './terminal.js';
import { fillSockets, makeSockets, socketPlaces } from './unix.js';
import { bindSockets, testSocketNames } from './unix-names.js';

/** What planning descriptors needs. */
export interface DescriptorPlanContext {
  readonly arena: Arena;
  readonly process: Pick<Process, 'descriptors' | 'objects'>;
  /** The image, open for reading, at a number above all of the process's. */
  readonly imageFd: number;
  /** From here on up, no number is used by anybody else; above `imageFd`. */
  readonly firstTemporary: number;
  /** Holds, under `Flag.SCRATCH`, the address of the name of the folder for files of the image. */
  readonly scratch: Cell;
  /** What makes a program draw everything anew whose terminal is another one now. */
  readonly redraw: readonly Op[];
  /** The id that a thread has now, by the one that it had; known when `finish` runs. */
  tidOf(tid: number): Operand;
  /** The folders in `/proc` that threads open for files of theirs. */
  readonly folders: ThreadFolders;
}

/** Operations in parts. Between the first two, memory is mapped. */
export interface DescriptorPlan {
  /** One more than the highest number that is used meanwhile. */
  readonly count: number;
  /** Descriptor of each file of the table between `open` and `finish`. */
  readonly files: readonly number[];
  /** Descriptor of each memory object, open between `open` and `finish`; `null` for shared anonymous memory. */
  readonly objects: readonly (number | null)[];
  /** Descriptor of each deleted directory, open as long. */
  readonly folders: readonly number[];
  /**
   * Makes everything but 0, 1 and 2, which stay the streams of the image; closes what was inherited.
   * Under `--check`: tests instead whether the files are there, and what they were.
   */
  readonly open: readonly Op[];
  /**
   * Just before the start: seals, closes whatever is not of the table (but the image), takes locks,
   * places 0, 1 and 2, sets the terminal's modes, starts timers. Does nothing under `--check`.
   */
  readonly finish: readonly Op[];
  /** When the thaw fails, at whatever step: removes what `finish` has made outside of the process. */
  readonly undo: readonly Op[];
  /** When all else is done, with the privileges of whoever started the image: FIFOs are filled, connections go on. */
  readonly release: readonly Op[];
}

const LAST = 0xffff_ffff;

/** Plans the descriptors and memory objects of a process. */
export function planDescriptors(context: DescriptorPlanContext): DescriptorPlan {
  const { arena, process, imageFd, firstTemporary } = context;
  const bench = new Bench(arena, process.descriptors, imageFd, firstTemporary);
  const objects = planObjects(process.objects, bench, context.scratch);
  const folders = planFolders(bench, context.scratch);
  const tools: Tools = {
    ...{ bench, objects: objects.fds, pipes: pipePlaces(bench), sockets: socketPlaces(bench) },
    ...{ folders: folders.fds, scratch: context.scratch },
    ...{ filled: datagramPlaces(bench), shares: sharesOf(bench.table.files) },
    tidOf: context.tidOf,
    folderOf: context.folders.folderOf,
  };
  const locks = planLocks(bench);
  const { numbered, sent, watching, going } = lastNumbers(bench);
  const open = [
    ...closeBetween(STANDARD, bench.passedIn, imageFd - 1),
    ...closeRange(imageFd + 1, LAST),
    ...makePtys(tools),
    ...objects.ops,
    ...folders.ops,
    ...makePipes(tools),
    ...makeSockets(tools),
    ...fillDatagrams(tools),
    ...makeAll(tools),
    ...planStep(bench.places, tools, 'listen'),
    ...connectAll(tools),
    ...fillPipes(tools, 'soon'),
    ...fillPtys(tools),
    ...fillSockets(tools),
  ];
  const names = bindSockets(tools);
  const isLate = ({ index }: Place): boolean => {
    const file = bench.table.files[index]!;
    return file.kind === 'file' && file.late !== undefined;
  };
  const isUring = ({ index }: Place): boolean => bench.table.files[index]!.kind === 'uring';
  const finish = [
    ...objects.seal,
    ...folders.seal,
    ...sealFifos(bench),
    ...names.ops,
    ...planOwners(bench),
    ...planStep(sent, tools, 'start'),
    ...planSignals(sent, tools),
    ...locks.sent,
    ...closeOthers(bench, firstTemporary, [
      ...numbersOf([...watching, ...going]),
      ...fillNumbers(tools, ['late', 'last']),
    ]),
    ...locks.early,
    ...fillPipes(tools, 'late'),
    ...placeStandard(bench),
    ...locks.late,
    ...planStreamFlags(bench),
    ...planTerminal(bench, context.redraw),
    ...context.folders.wait,
    // Opened before anything watches files.
    ...planStep(numbered.filter(isLate), tools, 'start'),
    ...context.folders.close,
    ...planStep(
      [...numbered.filter((place) => !isLate(place) && !isUring(place)), ...watching],
      tools,
      'start',
    ),
    // With these, any other may be registered.
    ...planStep(numbered.filter(isUring), tools, 'start'),
    ...planSignals([...numbered, ...watching], tools),
    ...(watching.length > 0
      ? closeTemporary(firstTemporary, [...numbersOf(going), ...fillNumbers(tools, ['last'])])
      : []),
    ...locks.last,
  ];
  const { hold } = bench.table;
  const netlink = arena.cell();
  const release = fillPipes(tools, 'last');
  if (hold !== null) {
    release.push(
      ...removeHold(hold, netlink, arena),
      ...planStep([...numbered, ...going], tools, 'release'),
      ...(going.length > 0 ? closeTemporary(firstTemporary, []) : []),
    );
  }
  // Open until then, as there may be no number left at the end.
  if (hold !== null)
    finish.push(openNetlink(netlink, 'NETFILTER', { label: 'cannot open a netlink socket' }));
  // For a moment each thread's folder has a number, and what is opened in it.
  for (let i = 0; i <= context.folders.count; i++) bench.temporary();
  return {
    count: bench.temporary(),
    files: bench.places.map(({ at }) => at),
    objects: objects.fds,
    folders: folders.fds,
    open: [
      ...planStreams(bench),
      ...planExternals(bench),
      ...testSocketNames(bench),
      ...testScratch(context.scratch, bench),
      ...(hold === null ? [] : [...testHold(hold, bench), ...endOrphans(hold, bench)]),
      ...onlyCheck([...testPlaces(context.scratch, bench), ...checkAll(tools)]),
      ...unlessCheck(open),
    ],
    finish: unlessCheck(finish),
    undo: names.undo,
    release: unlessCheck(release),
  };
}

/** Makes every description, and the other descriptors that share it. */
function makeAll(tools: Tools): Op[] {
  const { bench } = tools;
  return bench.places.flatMap((place) => {
    const file = bench.table.files[place.index]!;
    const ops = plannerOf(file).make(file, place, tools);
    for (const { fd, closeOnExec } of place.descriptors) {
      if (fd < STANDARD || fd === place.at) continue;
      bench.opened(fd);
      ops.push(duplicate(place.at, fd, closeOnExec, { label: `cannot make descriptor ${fd}` }));
    }
    return ops;
  });
}

/** What others watch comes first. */
function connectAll(tools: Tools): Op[] {
  const { places, table } = tools.bench;
  const watched = places.map(({ index }) => index).filter((index) => table.files[index]!.kind !== 'epoll');
  return [...watched, ...innerFirst(table.files)].flatMap((index) => {
    const file = table.files[index]!;
    return plannerOf(file).connect?.(file, places[index]!, tools) ?? [];
  });
}

/**
 * Where files stand at the end: at their first number, once 0, 1 and 2 are in their places; what is only on its way in
 * sockets at a temporary one. Of that, what watches files keeps it to the last, so as to see nothing of the thaw, and
 * connections until they go on. The rest is closed before: some of it is files, and POSIX locks on them would go with it.
 */
function lastNumbers({ places, table }: Bench): Record<'numbered' | 'sent' | 'watching' | 'going', Place[]> {
  const isSent = ({ descriptors }: Place): boolean => descriptors.length === 0;
  const watches = ({ index }: Place): boolean => modelOf(table.files[index]!).watchesFiles === true;
  const goesOn = ({ index }: Place): boolean => {
    const file = table.files[index]!;
    return file.kind === 'inet' && file.connection !== null;
  };
  return {
    numbered: places.flatMap((place) =>
      place.descriptors.slice(0, 1).map(({ fd }) => ({ ...place, at: fd })),
    ),
    sent: places.filter((place) => isSent(place) && !watches(place)),
    going: places.filter((place) => isSent(place) && goesOn(place)),
    watching: places.filter((place) => isSent(place) && watches(place)),
  };
}

/** A step of all files whose kinds have it. */
function planStep(places: readonly Place[], tools: Tools, step: 'listen' | 'start' | 'release'): Op[] {
  return places.flatMap((place) => {
    const file = tools.bench.table.files[place.index]!;
    return plannerOf(file)[step]?.(file, place, tools) ?? [];
  });
}

/** One test for all descriptions that would be tested alike. */
function checkAll(tools: Tools): Op[] {
  const seen = new Set<string | number>();
  return tools.bench.places.flatMap((place) => {
    const file = tools.bench.table.files[place.index]!;
    const key =
      file.kind === 'file' ? [file.path, file.flags, file.offset, file.locks.length].join(' ') : place.index;
    if (seen.has(key)) return [];
    seen.add(key);
    return plannerOf(file).check?.(file, place, tools) ?? [];
  });
}

/** Closes whatever is not of the table, also what was opened for mappings; but what keeps its temporary number. */
function closeOthers({ table, imageFd }: Bench, firstTemporary: number, keep: readonly number[]): Op[] {
  const kept = ascending(table.descriptors.map(({ fd }) => fd));
  return [...closeBetween(STANDARD, kept, imageFd - 1), ...closeTemporary(firstTemporary, keep)];
}

/** Closes all temporary numbers but those that are kept. */
function closeTemporary(firstTemporary: number, keep: readonly number[]): Op[] {
  return closeBetween(firstTemporary + STANDARD, ascending([...keep]), LAST);
}

function numbersOf(places: readonly Place[]): number[] {
  return places.map(({ at }) => at);
}

function ascending(numbers: number[]): number[] {
  return numbers.sort((a, b) => a - b);
}

/** Closes everything from `first` up to `last` but `kept`, which ascends. */
function closeBetween(first: number, kept: readonly number[], last: number): Op[] {
  const ops: Op[] = [];
  let next = first;
  for (const fd of kept) {
    if (fd < first) continue;
    ops.push(...closeRange(next, fd - 1));
    next = fd + 1;
  }
  return [...ops, ...closeRange(next, last)];
}

function onlyCheck(ops: readonly Op[]): Op[] {
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, when: (op.when ?? 0) | Flag.CHECK }));
}
