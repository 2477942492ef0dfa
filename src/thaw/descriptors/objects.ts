/** Memory objects: memfds with the captured content. */
import type { MemoryObject } from '../../snapshot/schema.js';
import { call, flagNames, show } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';
import { control, seek } from './calls.js';

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

/** Makes the objects at temporary numbers. */
export function planObjects(objects: readonly MemoryObject[], bench: Bench): PlannedObjects {
  const fds = objects.map(({ kind }) => (kind === 'shared-anonymous' ? null : bench.temporary()));
  const each = (plan: (object: MemoryObject, fd: number) => Op[]): Op[] =>
    objects.flatMap((object, index) => (fds[index] === null ? [] : plan(object, fds[index]!)));
  return {
    fds,
    ops: each((object, fd) => [...make(object, fd, bench), ...fill(object, fd, bench)]),
    seal: each(seal),
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

function make(object: MemoryObject, fd: number, bench: Bench): Op[] {
  const label = labelOf(object);
  const name = shorten(object.name);
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  return [
    ...bench.create(
      () =>
        call('memfd_create', [bench.arena.string(name), flags], {
          label,
          text: `memfd_create(${JSON.stringify(name)}, ${flagNames(flags, { MFD_CLOEXEC, MFD_ALLOW_SEALING }, '0')})`,
        }),
      fd,
      true,
    ),
    ...(object.size > 0 ? [call('ftruncate', [fd, object.size], { label })] : []),
  ];
}

/** The end of a name that is too long, cut between characters. */
function shorten(name: string): string {
  let short = name;
  while (Buffer.byteLength(short) > NAME_MAX) short = [...short].slice(1).join('');
  return short;
}

/** Copies the content from the image. Content comes in whole pages, the object may end within one. */
function fill(object: MemoryObject, fd: number, bench: Bench): Op[] {
  return object.extents.flatMap(({ start, size, offset }) => {
    const ops: Op[] = [];
    const end = Math.min(Number(start) + size, object.size);
    for (let at = Number(start); at < end; at += CHUNK) {
      const from = offset + at - Number(start);
      ops.push(seek(fd, BigInt(at)), ...copy(fd, from, Math.min(CHUNK, end - at), labelOf(object), bench));
    }
    return ops;
  });
}

function copy(fd: number, from: number, size: number, label: string, bench: Bench): Op[] {
  const position = bench.arena.cell(BigInt(from));
  return [
    call('sendfile', [fd, bench.imageFd, position.cell, size], {
      label,
      check: { kind: 'equal', expected: size },
      reason: 'there is not enough memory, or the image is cut short',
      text: `sendfile(${fd}, ${show(bench.imageFd)}, [${from}], ${size})`,
    }),
  ];
}

function seal(object: MemoryObject, fd: number): Op[] {
  const label = labelOf(object);
  const ops: Op[] = [];
  if (object.mode !== MODE) {
    ops.push(
      call('fchmod', [fd, object.mode], { label, text: `fchmod(${fd}, 0${object.mode.toString(8)})` }),
    );
  }
  if (object.seals !== 0) {
    ops.push(control(fd, 'ADD_SEALS', object.seals, flagNames(object.seals, SEALS, '0'), { label }));
  }
  return ops;
}
