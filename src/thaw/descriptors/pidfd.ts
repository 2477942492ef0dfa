/**
 * pidfd_open(2) of the process itself and its threads, whatever their ids are now; of others, if they are still the
 * same; in place of one that had ended, of another that ends alike.
 */
import { O } from '../../fcntl.js';
import { BOOT_ID, BOOT_ID_SIZE, PIDFD_THREAD } from '../../pidfd.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, flagNames, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, control, duplicate, open as openPath } from './calls.js';
import { ADVICE, makeEnded } from './pidfd-ended.js';
import type { KindPlanner } from './planner.js';

type Pidfd = OpenFileOf<'pidfd'>;
type Stranger = NonNullable<Pidfd['stranger']>;

/** `sizeof (struct stat)`, and where the inode number lies in it. */
const STAT = 144;
const ST_INO = 8n;
const NAMES = { PIDFD_NONBLOCK: O.NONBLOCK, PIDFD_THREAD };

/** Plans a descriptor that names a process or thread. */
export const pidfd: KindPlanner<Pidfd> = {
  make: ({ flags, thread, stranger, ended }, place, { bench }) => {
    if (ended) return makeAllOfEnded(ended, place, bench);
    if (stranger) return makeStranger(stranger, flags, place, bench);
    const self = bench.arena.cell();
    // Its thread is made later: until then, the process keeps the number.
    const bits = thread === null ? flags : 0;
    return [call('getpid', [], { result: self }), ...create(self, bits, place, bench)];
  },
  start: ({ flags, thread }, place, { bench, tidOf }) => {
    if (thread === null) return [];
    const cell = bench.arena.cell();
    return [
      { ...open(tidOf(thread), flags, place), result: cell } as Op,
      ...place.descriptors.map(({ fd, closeOnExec }) => duplicate(cell, fd, closeOnExec)),
      close(cell),
    ];
  },
  check: ({ flags, stranger }, place, { bench }) => {
    if (!stranger) return [];
    const cell = bench.arena.cell();
    return [
      ...checkBoot(stranger, place, bench),
      { ...open(stranger.pid, flags, place), result: cell } as Op,
      ...checkInode(stranger, cell, place, bench),
      close(cell),
    ];
  },
};

function create(id: Operand, flags: number, place: Place, bench: Bench): Op[] {
  return [
    ...bench.create(() => open(id, flags, place), place.at, place.closeOnExec),
    // The kernel closes it on exec unless told otherwise.
    ...(place.closeOnExec ? [] : [control(place.at, 'SETFD', 0, '0')]),
  ];
}

function makeStranger(stranger: Stranger, flags: number, place: Place, bench: Bench): Op[] {
  return [
    ...checkBoot(stranger, place, bench),
    ...create(stranger.pid, flags, place, bench),
    ...checkInode(stranger, place.at, place, bench),
  ];
}

/** All descriptors of one process that has ended are made of one other: they show that they mean the same. */
function makeAllOfEnded({ exit, inode }: NonNullable<Pidfd['ended']>, place: Place, bench: Bench): Op[] {
  const all = (inode === null ? null : meaningEnded(bench).get(inode)) ?? [place];
  if (all[0] !== place) return [];
  const flagsOf = ({ index }: Place): number => bench.table.files[index]!.flags;
  const make = (id: Operand) => all.flatMap((each) => create(id, flagsOf(each), each, bench));
  return makeEnded(exit, make, place.at, place.name, bench);
}

const found = new WeakMap<Bench, ReadonlyMap<bigint, readonly Place[]>>();

/** Descriptors of processes that have ended, by inode; looked for once. */
function meaningEnded(bench: Bench): ReadonlyMap<bigint, readonly Place[]> {
  const known = found.get(bench);
  if (known) return known;
  const places = new Map<bigint, Place[]>();
  for (const place of bench.places) {
    const file = bench.table.files[place.index]!;
    if (file.kind !== 'pidfd' || !file.ended || file.ended.inode === null) continue;
    const list = places.get(file.ended.inode);
    if (list) list.push(place);
    else places.set(file.ended.inode, [place]);
  }
  found.set(bench, places);
  return places;
}

/** The numbers of processes mean something on this machine, and until it is started again. */
function checkBoot({ boot }: Stranger, { name }: Place, { arena }: Bench): Op[] {
  const label = `cannot look at ${BOOT_ID} (${name})`;
  const [fd, now] = [arena.cell(), arena.reserve(BOOT_ID_SIZE)];
  return [
    { ...openPath(arena, BOOT_ID, O.CLOEXEC, { label }), result: fd } as Op,
    call('read', [fd, now, BOOT_ID_SIZE], {
      label,
      check: { kind: 'equal', expected: BOOT_ID_SIZE },
      reason: 'it is too short',
    }),
    close(fd),
    {
      ...{ op: 'compare', left: now, right: arena.bytes(boot), size: BOOT_ID_SIZE },
      label: `cannot make a pidfd (${name})`,
      reason: `the process was one of another machine, or before a restart: ${ADVICE}`,
      text: 'compare boot id, as it was',
    },
  ];
}

function checkInode({ pid, inode }: Stranger, fd: Operand, { name }: Place, { arena }: Bench): Op[] {
  const label = `cannot make a pidfd (${name})`;
  const stat = arena.reserve(STAT);
  return [
    call('fstat', [fd, stat], { label }),
    {
      ...{ op: 'compare', left: stat + ST_INO, right: arena.cell(inode).cell, size: 8 },
      label,
      reason: `process ${pid} is another by now: ${ADVICE}`,
      text: 'compare inode of the process, as it was',
    },
  ];
}

function open(id: Operand, flags: number, { name }: Place): Op {
  const bits = flags & (O.NONBLOCK | PIDFD_THREAD);
  return call('pidfd_open', [id, bits], {
    label: `cannot make a pidfd${typeof id === 'object' ? '' : ` of process ${id}`} (${name})`,
    text: `pidfd_open(${show(id)}, ${flagNames(bits, NAMES, '0')})`,
  });
}
