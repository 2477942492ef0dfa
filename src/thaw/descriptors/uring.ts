/** io_uring(7): set up with the other descriptors, filled when its memory is there, registered with at the end. */
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { encodeParams, OFFSETS_SIZE, PARAMS, REGISTER, RSRC_SPARSE, SETUP } from '../../uring.js';
import type { Arena } from '../arena.js';
import { call, type Extra, flagNames, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Place } from './bench.js';
import { close, control, setFlags, settable } from './calls.js';
import type { KindPlanner, Tools } from './planner.js';

type Ring = OpenFileOf<'uring'>;

const CLOCK_MONOTONIC = 1;

/** Plans an io_uring. */
export const uring: KindPlanner<Ring> = {
  make: (file, place, { bench }) => {
    const params = bench.arena.bytes(encodeParams(file.ring));
    return [
      ...bench.create(() => setUp(file, params, place), place.at, place.closeOnExec),
      ...(place.closeOnExec ? [] : [control(place.at, 'SETFD', 0, '0')]),
      ...compare(file, params, place, bench.arena),
      ...(settable(file.flags) ? [setFlags(place.at, file.flags)] : []),
    ];
  },
  start: (file, place, tools) => [
    ...registerClock(file, place, tools),
    ...registerWorkers(file, place, tools),
    ...registerBuffers(file, place, tools),
    ...registerSlots(file, place, tools),
    ...registerEventfd(file, place, tools),
    ...registerNumbers(file, null, place.at, tools.bench.arena),
  ],
  check: (file, place, { bench }) => {
    const params = bench.arena.bytes(encodeParams(file.ring));
    const cell = bench.arena.cell();
    return [
      setUp(file, params, place, { result: cell }),
      ...compare(file, params, place, bench.arena),
      close(cell),
    ];
  },
};

function setUp({ ring }: Ring, params: bigint, { name }: Place, extra: Extra = {}): Op {
  return call('io_uring_setup', [ring.sqEntries, params], {
    label: `cannot make an io_uring, which this machine may not permit (kernel.io_uring_disabled) (${name})`,
    text: `io_uring_setup(${ring.sqEntries}, {${flagNames(ring.setup, SETUP_NAMES, '0')}, ${ring.cqEntries}})`,
    ...extra,
  });
}

const SETUP_NAMES = Object.fromEntries(
  Object.entries(SETUP).map(([name, bit]) => [`IORING_SETUP_${name}`, bit]),
);

/** What the program was told when it set the ring up must be so still. */
function compare({ ring }: Ring, params: bigint, { name }: Place, arena: Arena): Op[] {
  return [
    {
      ...{ op: 'test', address: params + BigInt(PARAMS.features), width: 4, mask: BigInt(ring.features) },
      check: { kind: 'equal', expected: ring.features },
      label: `cannot make an io_uring as it was (${name})`,
      reason: `this kernel lacks features of the frozen one's (0x${ring.features.toString(16)})`,
    },
    ...(
      [
        ['sqEntries', PARAMS.sqEntries],
        ['cqEntries', PARAMS.cqEntries],
      ] as const
    ).map(
      ([member, at]): Op => ({
        ...{ op: 'test', address: params + BigInt(at), width: 4, mask: 0xffff_ffffn },
        check: { kind: 'equal', expected: ring[member] },
        label: `cannot make an io_uring as it was (${name})`,
        reason: 'this kernel gives it another number of entries',
      }),
    ),
    {
      op: 'compare',
      left: params + BigInt(PARAMS.offsets),
      right: arena.bytes(ring.offsets),
      size: OFFSETS_SIZE,
      check: { kind: 'equal', expected: 0 },
      label: `cannot make an io_uring as it was (${name})`,
      reason: 'this kernel lays its memory out otherwise',
    },
  ];
}

function register(
  fd: Operand,
  what: keyof typeof REGISTER,
  argument: bigint,
  count: number,
  { name }: Pick<Place, 'name'>,
  extra: Extra = {},
): Op {
  return call('io_uring_register', [fd, REGISTER[what], argument, count], {
    label: `cannot register with an io_uring: IORING_REGISTER_${what} (${name})`,
    text: `io_uring_register(${show(fd)}, IORING_REGISTER_${what}, ${show(argument)}, ${count})`,
    ...extra,
  });
}

function registerClock({ clock }: Ring, place: Place, { bench: { arena } }: Tools): Op[] {
  if (clock === CLOCK_MONOTONIC) return [];
  const request = Buffer.alloc(16); // struct io_uring_clock_register
  request.writeUInt32LE(clock, 0);
  return [register(place.at, 'CLOCK', arena.bytes(request), 0, place)];
}

function registerWorkers({ workers }: Ring, place: Place, { bench: { arena } }: Tools): Op[] {
  if (workers === null) return [];
  return [register(place.at, 'IOWQ_MAX_WORKERS', arena.bytes(words(workers)), 2, place)];
}

function registerBuffers({ buffers }: Ring, place: Place, { bench: { arena } }: Tools): Op[] {
  if (buffers === null) return [];
  const vectors = Buffer.alloc(buffers.length * 16); // struct iovec
  buffers.forEach((buffer, i) => {
    if (buffer === null) return;
    vectors.writeBigUInt64LE(buffer.address, i * 16);
    vectors.writeBigUInt64LE(BigInt(buffer.size), i * 16 + 8);
  });
  return [registerTable('BUFFERS2', vectors, buffers, place, arena)];
}

function registerSlots({ slots }: Ring, place: Place, { bench }: Tools): Op[] {
  if (slots === null) return [];
  const { arena } = bench;
  const { files, first, end } = slots;
  const fds = files.map((slot) => (slot === null ? -1 : numberOf(slot.file, bench.places)));
  const ops = [registerTable('FILES2', words(fds), files, place, arena)];
  if (first !== 0 || end !== files.length) {
    const range = Buffer.alloc(16); // struct io_uring_file_index_range
    range.writeUInt32LE(first, 0);
    range.writeUInt32LE(end - first, 4);
    ops.push(register(place.at, 'FILE_ALLOC_RANGE', arena.bytes(range), 0, place));
  }
  // A slot that is emptied is where the kernel looks first; a new table's first.
  const isEmpty = (slot: number): boolean => files[slot] === null;
  const from = (start: number): number | undefined =>
    Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i).find(isEmpty);
  const next = from(slots.next);
  if (next !== undefined && next !== from(first)) {
    for (const fd of [bench.imageFd, -1]) {
      const update = Buffer.alloc(32); // struct io_uring_rsrc_update2
      update.writeUInt32LE(next, 0);
      update.writeBigUInt64LE(arena.bytes(words([fd])), 8);
      update.writeUInt32LE(1, 24);
      ops.push(register(place.at, 'FILES_UPDATE2', arena.bytes(update), update.length, place));
    }
  }
  return ops;
}

/** The number that a file has at the end. */
function numberOf(file: number, places: readonly Place[]): number {
  const { descriptors, at } = places[file]!;
  return descriptors[0]?.fd ?? at;
}

/** A table of slots, each with a tag. */
function registerTable(
  what: 'FILES2' | 'BUFFERS2',
  data: Uint8Array,
  slots: readonly ({ readonly tag: bigint } | null)[],
  place: Place,
  arena: Arena,
): Op {
  const sparse = slots.every((slot) => slot === null);
  const request = Buffer.alloc(32); // struct io_uring_rsrc_register
  request.writeUInt32LE(slots.length, 0);
  if (sparse) {
    request.writeUInt32LE(RSRC_SPARSE, 4);
  } else {
    const tags = BigUint64Array.from(slots, (slot) => slot?.tag ?? 0n);
    request.writeBigUInt64LE(arena.bytes(data), 16);
    request.writeBigUInt64LE(arena.bytes(new Uint8Array(tags.buffer)), 24);
  }
  return register(place.at, what, arena.bytes(request), request.length, place);
}

function registerEventfd({ eventfd }: Ring, place: Place, { bench }: Tools): Op[] {
  if (eventfd === null) return [];
  const fd = bench.arena.bytes(words([numberOf(eventfd.file, bench.places)]));
  return [register(place.at, eventfd.async ? 'EVENTFD_ASYNC' : 'EVENTFD', fd, 1, place)];
}

/** Its place among the numbers that a thread has for rings; done by the thread. `null`: the first thread. */
export function registerNumbers({ numbers }: Ring, thread: number | null, fd: number, arena: Arena): Op[] {
  return numbers
    .filter((number) => number.thread === thread)
    .map(({ slot }) => {
      const update = Buffer.alloc(16); // struct io_uring_rsrc_update
      update.writeUInt32LE(slot, 0);
      update.writeBigUInt64LE(BigInt(fd), 8);
      return register(
        fd,
        'RING_FDS',
        arena.bytes(update),
        1,
        { name: `descriptor ${fd}` },
        {
          check: { kind: 'equal', expected: 1 },
        },
      );
    });
}

function words(values: readonly number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(values).buffer);
}
