/**
 * Folders and FIFOs that had lost their names: made under one that nobody can know beforehand, and rid of it at once:
 * folders in the one above, to which `..` leads, FIFOs wherever such things may be made. A thaw that fails leaves
 * nothing there.
 */
import { quoted } from '../../byte-text.js';
import { AT_FDCWD, O } from '../../fcntl.js';
import type { DescriptorTable } from '../../snapshot/descriptors.js';
import { call, show, testField } from '../calls.js';
import { openFlagNames } from '../flags.js';
import { type Cell, Flag, type Op, type Operand } from '../program.js';
import { setMode, setOwner, setTimes } from './attributes.js';
import type { Bench } from './bench.js';
import { close, openAt } from './calls.js';

type Folder = DescriptorTable['folders'][number];

/** Where FIFOs are made without `--scratch DIR`, in the first that permits it: in these nobody takes away what is another's. */
const PLACES = ['/tmp', '/dev/shm', '/var/tmp'];
const RANDOM = '/proc/sys/kernel/random/uuid';
const PREFIX = '.proc2elf-';
const RANDOM_SIZE = 36;
const S_IFIFO = 0o010000;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
const STATX_NLINK = 4;
/** Offset of `stx_nlink` in `struct statx`. */
const STX_NLINK = 16n;
const W_OK = 2;
const X_OK = 1;

/** What is made. Until it has the mode that it had, its owner may do everything with it. */
export interface Nameless {
  readonly kind: 'folder' | 'fifo';
  /** In this folder and no other. */
  readonly path?: string;
  /** The step, for messages. */
  readonly label: string;
  /** With which it is opened. */
  readonly flags: number;
}

/** Folders in the making. */
export interface PlannedFolders {
  /** Descriptor of each folder, open until the process starts. */
  readonly fds: readonly number[];
  readonly ops: readonly Op[];
  /** For later, when everything is opened that modes and owners would forbid. */
  readonly seal: readonly Op[];
}

/** Makes the folders of a table at temporary numbers. `scratch`: as for memory objects. */
export function planFolders(bench: Bench, scratch: Cell): PlannedFolders {
  const { folders } = bench.table;
  const fds = folders.map(() => bench.temporary());
  const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
  const labels = folders.map(({ name }) => `cannot make the deleted directory ${name} again`);
  return {
    fds,
    ops: fds.flatMap((fd, i) =>
      bench.createByOneOf(
        (made) =>
          makeNameless(
            { kind: 'folder', path: folders[i]!.path, label: labels[i]!, flags },
            made,
            scratch,
            bench,
          ),
        fd,
      ),
    ),
    seal: fds.flatMap((fd, i) => restore(folders[i]!, fd, labels[i]!, bench)),
  };
}

/** Owner, mode and times. */
export function restore(
  { owner, mode, times }: Pick<Folder, 'owner' | 'mode' | 'times'>,
  fd: number,
  label: string,
  bench: Bench,
): Op[] {
  return [setOwner(fd, owner), setMode(fd, mode, label), setTimes(fd, times, label, bench)];
}

/** Under `--check`: whether there is a place where it could be made. */
export function testPlaces(scratch: Cell, bench: Bench): Op[] {
  const { arena, table } = bench;
  const label = (name: string) => `cannot make ${name} again, which was deleted`;
  const inFolders = table.folders.map(({ name, path }) =>
    mayMake(arena.string(path), quoted(path), label(name)),
  );
  const fifo = table.pipes.find(({ removed }) => removed)?.removed;
  return fifo ? [...inFolders, ...testAll(scratch, label(fifo.name), bench)] : inFolders;
}

function mayMake(place: Operand, shown: string, label: string): Op {
  return call('faccessat', [AT_FDCWD, place, W_OK | X_OK], {
    label,
    text: `faccessat(AT_FDCWD, ${shown}, W_OK|X_OK)`,
  });
}

function testAll(scratch: Cell, label: string, bench: Bench): Op[] {
  const { arena } = bench;
  const test = (place: Operand, shown: string): Op => mayMake(place, shown, label);
  const end = bench.mark();
  return [
    { ...test(scratch, show(scratch)), when: Flag.SCRATCH } as Op,
    { op: 'jump', to: end, when: Flag.SCRATCH },
    ...PLACES.flatMap((place, i): Op[] => {
      const one = test(arena.string(place), `"${place}"`);
      if (i === PLACES.length - 1) return [one];
      const next = bench.mark();
      return [
        { ...one, check: { kind: 'ok', jump: next } } as Op,
        { op: 'jump', to: end },
        { op: 'mark', name: next },
      ];
    }),
    { op: 'mark', name: end },
  ];
}

/** Makes one, and leaves its descriptor in a cell. */
export function makeNameless(what: Nameless, made: Cell, scratch: Cell, bench: Bench): Op[] {
  const { arena } = bench;
  const { kind, label, flags } = what;
  const name = arena.bytes(Buffer.from(`${PREFIX}${'\0'.repeat(RANDOM_SIZE + 1)}`), 1);
  const [random, folder] = [arena.cell(), arena.cell()];
  const shown = `"${PREFIX}[...]"`;
  const removal = kind === 'folder' ? AT_REMOVEDIR : 0;
  return [
    openAt(arena, AT_FDCWD, RANDOM, O.RDONLY | O.CLOEXEC, { label, result: random }),
    call('read', [random, name + BigInt(PREFIX.length), RANDOM_SIZE], {
      label,
      check: { kind: 'equal', expected: RANDOM_SIZE },
    }),
    close(random),
    // It could take away what opening it needs; the process has its own in the end.
    call('umask', [0], { check: { kind: 'none' } }),
    ...makeSomewhere(what, name, folder, scratch, bench),
    // Whatever fails now, the name goes first.
    call('openat', [folder, name, flags, 0], {
      result: made,
      check: { kind: 'none' },
      text: `openat(${show(folder)}, ${shown}, ${openFlagNames(flags)})`,
    }),
    call('unlinkat', [folder, name, removal], {
      label,
      text: `unlinkat(${show(folder)}, ${shown}, ${removal === 0 ? '0' : 'AT_REMOVEDIR'})`,
    }),
    close(folder),
    {
      op: 'test',
      ...{ address: made.cell, width: 4, mask: 0x8000_0000n, check: { kind: 'equal', expected: 0 }, label },
      reason: 'it cannot be opened where it was made',
      text: 'test it was opened',
    },
    call('statx', [made, arena.string(''), AT_EMPTY_PATH, STATX_NLINK, bench.scratch], {
      label,
      text: `statx(${show(made)}, "", AT_EMPTY_PATH, STATX_NLINK)`,
    }),
    // In a folder that anybody may change it could be another's.
    testField(bench.scratch + STX_NLINK, 4, 0, {
      label,
      reason: 'something else has taken its place',
      text: 'test statx.stx_nlink == 0',
    }),
  ];
}

/** In its own folder, in that of `--scratch`, or the first place where it can be made; the folder is left open in a cell. */
function makeSomewhere(what: Nameless, name: bigint, folder: Cell, scratch: Cell, bench: Bench): Op[] {
  const { arena } = bench;
  const done = bench.mark();
  const flags = O.PATH | O.DIRECTORY | O.CLOEXEC;
  const enter = (place: Operand, shown: string): Op =>
    call('openat', [AT_FDCWD, place, flags, 0], {
      ...{ label: what.label, result: folder },
      text: `openat(AT_FDCWD, ${shown}, ${openFlagNames(flags)})`,
    });
  if (what.path !== undefined)
    return [enter(arena.string(what.path), quoted(what.path)), makeNode(what, name, folder)];
  return [
    { ...enter(scratch, show(scratch)), when: Flag.SCRATCH } as Op,
    { ...makeNode(what, name, folder), when: Flag.SCRATCH } as Op,
    { op: 'jump', to: done, when: Flag.SCRATCH },
    ...PLACES.flatMap((place, i): Op[] => {
      const ops = [enter(arena.string(place), `"${place}"`), makeNode(what, name, folder)];
      if (i === PLACES.length - 1) return ops;
      const [absent, refused] = [bench.mark(), bench.mark()];
      return [
        { ...ops[0]!, check: { kind: 'ok', jump: absent } } as Op,
        { ...ops[1]!, check: { kind: 'ok', jump: refused } } as Op,
        { op: 'jump', to: done },
        { op: 'mark', name: refused },
        close(folder),
        { op: 'mark', name: absent },
      ];
    }),
    { op: 'mark', name: done },
  ];
}

function makeNode({ kind, label }: Nameless, name: bigint, folder: Cell): Op {
  const shown = `${show(folder)}, "${PREFIX}[...]"`;
  return kind === 'folder'
    ? call('mkdirat', [folder, name, 0o700], { label, text: `mkdirat(${shown}, 0700)` })
    : call('mknodat', [folder, name, S_IFIFO | 0o600, 0], { label, text: `mknodat(${shown}, S_IFIFO|0600)` });
}
