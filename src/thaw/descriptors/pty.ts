/**
 * Pseudoterminals. Their numbers are taken before anything else is opened, as that may take opening more of them;
 * they are filled when nothing waits on them yet, like pipes.
 */
import { quoted } from '../../byte-text.js';
import { AT_FDCWD, O } from '../../fcntl.js';
import { START_KEY, STOP_KEY, TIOC, TYPING_MODES } from '../../pty.js';
import type { OpenFile, OpenFileOf } from '../../snapshot/descriptors.js';
import { call, type Extra, show, tolerate } from '../calls.js';
import { Flag, type Op, type Operand } from '../program.js';
import type { Bench, Place } from './bench.js';
import {
  close,
  closeRange,
  control,
  duplicate,
  open,
  poll,
  setCloseOnExec,
  setFlags,
  write,
} from './calls.js';
import type { Tools } from './planner.js';
import { leadSession } from './session.js';

type Master = OpenFileOf<'pty-master'>;
type Slave = OpenFileOf<'pty-slave'>;

const PTMX = '/dev/ptmx';
/** How masters are opened. */
export const OPENED = O.RDWR | O.NOCTTY | O.CLOEXEC;
const REOPENED = O.ACCMODE | O.APPEND | O.NONBLOCK | O.LARGEFILE;
/** How long the kernel may take to deliver what was typed: it is there at once. */
const PATIENCE_MS = 60_000;
const LAST = 0xffff_ffff;

/** For messages. */
export function labelOf({ name }: Pick<Place, 'name'>): string {
  return `cannot make a pseudoterminal (${name})`;
}

/** The same, of its session. */
export function sessionLabel({ name }: Pick<Place, 'name'>): string {
  return `cannot make a session with its terminal (${name})`;
}

function takenReason(number: number): string {
  return `/dev/pts/${number} is another's here (with --pts=new it takes a number that is free)`;
}

/** Nothing must stand at the path of the slave, unless any number will do. */
export function isFree(path: string, number: number, label: string, { arena }: Bench): Op[] {
  return [
    call('faccessat', [AT_FDCWD, arena.string(path), 0], {
      ...{ label, reason: takenReason(number), unless: Flag.PTS_NEW },
      check: { kind: 'equal', expected: -2 }, // ENOENT
      text: `faccessat(AT_FDCWD, ${quoted(path)}, F_OK)`,
    }),
  ];
}

/** A test of the word at `address`. Under `--pts=new` any number will do. */
function isNumber(
  address: bigint,
  expected: number,
  kind: 'equal' | 'atleast',
  { jump, ...extra }: Extra & { jump?: string },
): Op {
  return {
    ...{ op: 'test', address, width: 4, mask: 0xffff_ffffn, unless: Flag.PTS_NEW },
    check: { kind, expected, ...(jump === undefined ? {} : { jump }) },
    text: `test number ${kind === 'equal' ? '==' : '>='} ${expected}`,
    ...extra,
  };
}

function ioctl(
  fd: Operand,
  prefix: '' | 'TIOC',
  name: keyof typeof TIOC,
  argument: Operand,
  extra: Extra,
): Op {
  return call('ioctl', [fd, TIOC[name], argument], {
    text: `ioctl(${show(fd)}, ${prefix}${name}, ${show(argument)})`,
    ...extra,
  });
}

function mastersOf({ table, places }: Bench): { master: Master; place: Place }[] {
  return places.flatMap((place) => {
    const master = table.files[place.index]!;
    return master.kind === 'pty-master' ? [{ master, place }] : [];
  });
}

/** Makes all pseudoterminals, both sides, at their numbers. Nothing above the highest number in use is open yet. */
export function makePtys({ bench }: Tools): Op[] {
  const masters = mastersOf(bench).sort((a, b) => a.master.number - b.master.number);
  const above = bench.temporary();
  return [
    ...masters.flatMap(({ master, place }) => takeNumber(master, place, above, bench)),
    ...(masters.length > 0 ? closeRange(above, LAST) : []),
    ...masters.flatMap(({ master, place }) => [
      unlock(place.at, labelOf(place), bench),
      // Before there is anybody whom a change would be told (SIGWINCH).
      ioctl(place.at, 'TIOC', 'SWINSZ', bench.arena.bytes(master.size), { label: labelOf(place) }),
      ...makeSides(master, place, bench),
    ]),
    ...makeHungUp(bench),
  ];
}

/**
 * The kernel gives the lowest number that is free: until it is the right one, they are opened and kept, at
 * descriptors from `above` on.
 */
function takeNumber({ path, number }: Master, place: Place, above: number, bench: Bench): Op[] {
  const label = labelOf(place);
  const [opened, kept, got] = [bench.arena.cell(), bench.arena.cell(), bench.arena.cell()];
  const [again, other, found] = [bench.mark(), bench.mark(), bench.mark()];
  bench.opened(place.at);
  return [
    { op: 'mark', name: again },
    open(bench.arena, path, OPENED, { label, result: opened }),
    control(opened, 'DUPFD_CLOEXEC', above, String(above), { label, result: kept }),
    close(opened),
    ioctl(kept, 'TIOC', 'GPTN', got.cell, { label }),
    isNumber(got.cell, number, 'equal', { jump: other }),
    { op: 'jump', to: found },
    { op: 'mark', name: other },
    isNumber(got.cell, number, 'atleast', { jump: again }),
    isNumber(got.cell, number, 'equal', { label, reason: takenReason(number) }),
    { op: 'mark', name: found },
    duplicate(kept, place.at, place.closeOnExec, { label }),
  ];
}

function setInteger(
  fd: Operand,
  name: keyof typeof TIOC,
  value: number,
  label: string,
  { arena }: Bench,
): Op {
  const word = Buffer.alloc(8);
  word.writeInt32LE(value);
  return {
    ...ioctl(fd, 'TIOC', name, arena.bytes(word), { label }),
    text: `ioctl(${show(fd)}, TIOC${name}, [${value}])`,
  } as Op;
}

function unlock(master: Operand, label: string, bench: Bench): Op {
  return setInteger(master, 'SPTLCK', 0, label, bench);
}

/** TIOCGPTPEER: the slave of a master, opened. O_CLOEXEC would stay among the flags of the description. */
function openSlave(master: Operand, flags: number, label: string): Op {
  return ioctl(master, 'TIOC', 'GPTPEER', flags | O.NOCTTY, { label });
}

/** Whether a session comes with it, of which a slave shall be the terminal. */
export function makesSession({ controls }: Master, { index }: Place, { table }: Bench): boolean {
  return controls && table.files.some((file) => file.kind === 'pty-slave' && file.master === index);
}

/** The slaves of a master, and the session that they control. */
function makeSides(master: Master, place: Place, bench: Bench): Op[] {
  const isSlave = (file: Slave): boolean => file.master === place.index;
  if (!makesSession(master, place, bench)) return makeSlaves(place.at, isSlave, bench);
  const label = sessionLabel(place);
  // It cannot be opened by the session's name for it unless it is open.
  const slave = bench.temporary();
  const ops = [
    ...leadSession(label, bench),
    ...bench.create(() => openSlave(place.at, O.RDWR, label), slave, true),
    ioctl(place.at, 'TIOC', 'SCTTY', 0, { label }),
    ...makeSlaves(place.at, (file) => isSlave(file) && file.path === null, bench),
    ...bench.places.flatMap((other) => {
      const file = bench.table.files[other.index]!;
      return file.kind === 'pty-slave' && isSlave(file) && file.path !== null
        ? openByName(file.path, file.flags, other, bench)
        : [];
    }),
    close(slave),
  ];
  bench.closed(slave);
  return ops;
}

function openByName(path: string, flags: number, place: Place, bench: Bench): Op[] {
  const { arena } = bench;
  const make = (closeOnExec: boolean): Op =>
    open(arena, path, (flags & REOPENED) | O.NOCTTY | (closeOnExec ? O.CLOEXEC : 0), {
      label: labelOf(place),
    });
  return bench.create(make, place.at, place.closeOnExec);
}

function makeSlaves(master: number, isHere: (file: Slave) => boolean, bench: Bench): Op[] {
  return bench.places.flatMap((place) => {
    const file: OpenFile = bench.table.files[place.index]!;
    if (file.kind !== 'pty-slave' || !isHere(file)) return [];
    const make = (): Op => openSlave(master, file.flags & REOPENED, labelOf(place));
    return [
      ...bench.create(make, place.at, place.closeOnExec),
      ...(place.closeOnExec ? [setCloseOnExec(place.at)] : []),
    ];
  });
}

/** Slaves whose master is closed: their number is nobody's any more, so any will do. */
function makeHungUp(bench: Bench): Op[] {
  const numbers = new Map<number, Place>();
  for (const place of bench.places) {
    const file = bench.table.files[place.index]!;
    if (file.kind === 'pty-slave' && file.master === null && !numbers.has(file.number)) {
      numbers.set(file.number, place);
    }
  }
  return [...numbers].flatMap(([number, place]) => {
    const label = labelOf(place);
    const master = bench.temporary();
    const make = (): Op => open(bench.arena, PTMX, OPENED, { label });
    const ops = [
      ...bench.create(make, master, true),
      unlock(master, label, bench),
      ...makeSlaves(master, (file) => file.master === null && file.number === number, bench),
      close(master),
    ];
    bench.closed(master);
    return ops;
  });
}

/** Puts in what was under way, and sets modes and switches; then lets go of the side that nobody has. */
export function fillPtys({ bench }: Tools): Op[] {
  return mastersOf(bench).flatMap(({ master, place }) => {
    const label = labelOf(place);
    const slave = bench.temporary();
    const make = (): Op => openSlave(place.at, O.RDWR | O.NONBLOCK, label);
    const ops = [
      // Nobody opens a path: the master does not find its other side closed then.
      ...bench.create(master.unopened ? () => openSlave(place.at, O.PATH, label) : make, slave, true),
      ...(master.unopened ? [] : [setModes(place.at, TYPING_MODES, label, bench)]),
      ...type(master.typed, place.at, slave, label, bench),
      ...(master.output.length > 0 ? [write(bench.arena, slave, master.output, { label })] : []),
      setModes(place.at, master.modes, label, bench),
      ...restoreNode(master.node, slave, label, bench),
      ...(master.packets ? [setInteger(place.at, 'PKT', 1, label, bench)] : []),
      ...(master.exclusive.slave ? [ioctl(slave, 'TIOC', 'EXCL', 0, { label })] : []),
      ...(master.exclusive.master ? [ioctl(place.at, 'TIOC', 'EXCL', 0, { label })] : []),
      ...(master.locked ? [setInteger(place.at, 'SPTLCK', 1, label, bench)] : []),
      setFlags(place.at, master.flags, { label }),
      close(slave),
    ];
    bench.closed(slave);
    return ops;
  });
}

function setModes(fd: number, modes: Uint8Array, label: string, { arena }: Bench): Op {
  return ioctl(fd, '', 'TCSETS2', arena.bytes(modes), { label });
}

/** Output is stopped first and started last by a key: when it runs, everything typed has arrived. */
function type(typed: Uint8Array, master: number, slave: number, label: string, bench: Bench): Op[] {
  if (typed.length === 0) return [];
  return [
    write(bench.arena, master, Uint8Array.of(STOP_KEY), { label }),
    poll(bench.arena, slave, ['IN', 'OUT'], 0, { label, check: { kind: 'equal', expected: 0 } }),
    write(bench.arena, master, Uint8Array.of(...typed, START_KEY), { label }),
    poll(bench.arena, slave, ['OUT'], PATIENCE_MS, { label, check: { kind: 'equal', expected: 1 } }),
  ];
}

/** As far as whoever starts the image may. */
function restoreNode(node: Master['node'], slave: number, label: string, { arena }: Bench): Op[] {
  if (!node) return [];
  const { mode, uid, gid } = node;
  // Which of them a path only is takes no calls that need an opened file.
  const path = `/proc/self/fd/${slave}`;
  return [
    call('fchownat', [AT_FDCWD, arena.string(path), uid, gid, 0], {
      label,
      check: tolerate('EPERM'),
      text: `fchownat(AT_FDCWD, ${quoted(path)}, ${uid}, ${gid}, 0)`,
    }),
    call('fchmodat', [AT_FDCWD, arena.string(path), mode], {
      label,
      text: `fchmodat(AT_FDCWD, ${quoted(path)}, 0${mode.toString(8)})`,
    }),
  ];
}
