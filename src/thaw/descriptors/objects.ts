/** Memory objects: memfds with the captured content, or under `--scratch` files without a name for what was files. */
import { bytesOfText, quoted } from '../../byte-text.js';
import { PAGE_SIZE } from '../../page.js';
import type { MemoryObject } from '../../snapshot/schema.js';
import { call, type Extra, flagNames, show, tolerate } from '../calls.js';
import { type Cell, Flag, type Op } from '../program.js';
import { setMode, setOwner, setTimes } from './attributes.js';
import type { Bench } from './bench.js';
import { control, seek } from './calls.js';
import { fillHuge, hugeFlags, MFD_HUGETLB } from './huge-object.js';
import { makeScratchFile, openScratch } from './scratch.js';

const NUL = Buffer.of(0);
const FALLOC_FL_KEEP_SIZE = 1;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
/** memfd_create(2): longest name in bytes. */
const NAME_MAX = 249;
/** sendfile(2) moves less than 2 GiB at once. */
const CHUNK = 1 << 30;
/** Mode of a fresh memfd. */
const MODE = 0o777;
const SEALS = {
  F_SEAL_SEAL: 1,
  F_SEAL_SHRINK: 2,
  F_SEAL_GROW: 4,
  F_SEAL_WRITE: 8,
  F_SEAL_FUTURE_WRITE: 16,
  F_SEAL_EXEC: 32,
};

/** Objects in the making. */
export interface PlannedObjects {
  readonly ops: readonly Op[];
  /** Descriptor of each object, open until the process starts; `null` for shared anonymous memory, which has none. */
  readonly fds: readonly (number | null)[];
  /** Modes and seals: for later, when everything is mapped and opened that they would forbid. */
  readonly seal: readonly Op[];
}

/** Makes the objects at temporary numbers. `scratch`: holds the address of the folder's name for `--scratch`. */
export function planObjects(objects: readonly MemoryObject[], bench: Bench, scratch: Cell): PlannedObjects {
  const folder = objects.some(mayLieInFile) ? bench.temporary() : null;
  const fds = objects.map(({ kind }) => (kind === 'shared-anonymous' ? null : bench.temporary()));
  const each = (plan: (object: MemoryObject, fd: number) => Op[]): Op[] =>
    objects.flatMap((object, index) => (fds[index] === null ? [] : plan(object, fds[index]!)));
  return {
    fds,
    ops: [
      ...(folder === null ? [] : openScratch(folder, scratch, bench)),
      ...each((object, fd) => [...make(object, fd, bench, folder), ...fill(object, fd, bench)]),
    ],
    seal: each((object, fd) => seal(object, fd, bench)),
  };
}

function labelOf({ kind, name }: MemoryObject): string {
  switch (kind) {
    case 'memfd':
      return `cannot make the memfd ${name}`;
    case 'embedded-file':
      return `cannot make memory for the file ${name}`;
    default:
      return `cannot make memory for the deleted file ${name}`;
  }
}

function make(object: MemoryObject, fd: number, bench: Bench, folder: number | null): Op[] {
  const label = labelOf(object);
  const name = shorten(object.name);
  const huge = object.pageSize > PAGE_SIZE ? hugeFlags(object.pageSize) : 0;
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | huge;
  const inMemory = (extra: Extra) =>
    call('memfd_create', [bench.arena.bytes(Buffer.concat([bytesOfText(name), NUL])), flags], {
      label,
      text: `memfd_create(${quoted(name)}, ${flagNames(flags, { MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB }, '0')})`,
      ...extra,
    });
  return [
    ...(folder !== null && mayLieInFile(object)
      ? bench.createByOneOf(
          (made) => [
            inMemory({ result: made, unless: Flag.SCRATCH }),
            ...makeScratchFile(made, folder, object, scratchLabel(object), bench),
          ],
          fd,
        )
      : bench.create(() => inMemory({}), fd, true)),
    ...eachWay(object, (label) => (object.size > 0 ? [call('ftruncate', [fd, object.size], { label })] : [])),
    ...eachWay(object, (label, inFile) => setAside(object, fd, label, inFile)),
  ];
}

/** Room for what is not there yet. A file system that cannot set any aside has it when it is needed, or has not. */
function setAside({ reserved = [] }: MemoryObject, fd: number, label: string, inFile: boolean): Op[] {
  return reserved.map(({ start, size }) =>
    call('fallocate', [fd, FALLOC_FL_KEEP_SIZE, start, size], {
      label,
      ...(inFile ? { check: tolerate('EOPNOTSUPP') } : {}),
      text: `fallocate(${fd}, FALLOC_FL_KEEP_SIZE, ${start}, ${size})`,
    }),
  );
}

/** What was a file may lie in one again. Seals (of a file on a tmpfs) and huge pages are what only memory can have. */
function mayLieInFile({ kind, seals, pageSize }: MemoryObject): boolean {
  return (kind === 'embedded-file' || kind === 'deleted-file') && seals === 0 && pageSize === PAGE_SIZE;
}

function scratchLabel({ name }: MemoryObject): string {
  return `cannot make a file for ${name} in the folder of --scratch`;
}

/** The same operations for memory and for a file, with the words for each. */
function eachWay(object: MemoryObject, plan: (label: string, inFile: boolean) => Op[]): Op[] {
  const inMemory = plan(labelOf(object), false);
  if (!mayLieInFile(object)) return inMemory;
  return [
    ...inMemory.map((op): Op => (op.op === 'mark' ? op : { ...op, unless: Flag.SCRATCH })),
    ...plan(scratchLabel(object), true).map(
      (op): Op => (op.op === 'mark' ? op : { ...op, when: Flag.SCRATCH }),
    ),
  ];
}

/** The end of a name that is too long, cut between characters. */
function shorten(name: string): string {
  let short = name;
  while (bytesOfText(short).length > NAME_MAX) short = [...short].slice(1).join('');
  return short;
}

/** Copies the content from the image. Content comes in whole pages, the object may end within one. */
function fill(object: MemoryObject, fd: number, bench: Bench): Op[] {
  if (object.pageSize > PAGE_SIZE) return fillHuge(object, fd, labelOf(object), bench);
  return object.extents.flatMap(({ start, size, offset }) => {
    const ops: Op[] = [];
    const end = Math.min(Number(start) + size, object.size);
    for (let at = Number(start); at < end; at += CHUNK) {
      const from = offset + at - Number(start);
      ops.push(
        seek(fd, BigInt(at)),
        ...eachWay(object, (label, inFile) =>
          copy(fd, from, Math.min(CHUNK, end - at), label, inFile ? 'folder' : 'memory', bench),
        ),
      );
    }
    return ops;
  });
}

function copy(
  fd: number,
  from: number,
  size: number,
  label: string,
  where: 'memory' | 'folder',
  bench: Bench,
): Op[] {
  const position = bench.arena.cell(BigInt(from));
  return [
    call('sendfile', [fd, bench.imageFd, position.cell, size], {
      label,
      check: { kind: 'equal', expected: size },
      reason: `there is not enough ${where === 'memory' ? 'memory' : 'room'}, or the image is cut short`,
      text: `sendfile(${fd}, ${show(bench.imageFd)}, [${from}], ${size})`,
    }),
  ];
}

/** Owner, mode, times and seals, in an order in which none of them undoes or forbids another. */
function seal(object: MemoryObject, fd: number, bench: Bench): Op[] {
  const label = labelOf(object);
  const { owner, times, mode, seals } = object;
  const ops: Op[] = [];
  if (owner) ops.push(setOwner(fd, owner));
  if (mode !== MODE || owner || mayLieInFile(object)) ops.push(setMode(fd, mode, label));
  if (times) ops.push(setTimes(fd, times, label, bench));
  if (seals !== 0) ops.push(control(fd, 'ADD_SEALS', seals, flagNames(seals, SEALS, '0'), { label }));
  return ops;
}
