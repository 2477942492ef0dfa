/**
 * The memory of io_urings. The kernel alone chooses where it is mapped, and moves it nowhere: so all other room is taken
 * meanwhile, by memory that nobody can use, and there is one place left to choose. Then the kernel is made to count to
 * where it was, and the rings get their content.
 */
import type { OpenFileOf } from '../snapshot/descriptors.js';
import type { Process } from '../snapshot/schema.js';
import { entriesView, ringsView } from '../snapshot/uring.js';
import { decodeOffsets, SETUP, sqeSize } from '../uring.js';
import { gaps, merge, PAGE, type Range, USER_SPACE_END } from './addresses.js';
import type { Arena } from './arena.js';
import { call, MapFlag, mapFixed, Prot } from './calls.js';
import { registerNumbers } from './descriptors/uring.js';
import { fillMapped, type MemoryContext, type PlacedRegion } from './memory.js';
import type { Op } from './program.js';

type Ring = OpenFileOf<'uring'>;

/** What is not mapped yet when this is: the vDSO comes later. */
const LATER = ['uring', 'vdso', 'vvar'];
/** Below it only the privileged may map anything, and the kernel chooses no place (`vm.mmap_min_addr`). */
const LOWEST = 0x1_0000n;

/** The rings of a table with their descriptors. */
function ringsOf({ descriptors: { files } }: Pick<Process, 'descriptors'>, fds: readonly number[]) {
  return files.flatMap((file, index): { file: Ring; fd: number }[] =>
    file.kind === 'uring' ? [{ file, fd: fds[index]! }] : [],
  );
}

/**
 * Maps all io_urings, with their counters and what was in them. All other memory but the vDSO is there.
 * @param fds descriptor of each file of the table
 * @param own our own segments
 */
export function planUrings(
  process: Process,
  regions: readonly PlacedRegion[],
  fds: readonly number[],
  context: MemoryContext,
  arena: Arena,
  own: Range,
): Op[] {
  const rings = ringsOf(process, fds);
  if (rings.length === 0) return [];
  const views = rings.flatMap(({ file, fd }) => file.ring.views.map((view) => ({ ...view, fd })));
  const ranges = views.map(({ address, size }) => ({ start: address, end: address + BigInt(size) }));
  const taken = process.regions.filter(({ backing }) => !LATER.includes(backing.kind));
  // Smaller ones are no choice.
  const least = ranges.map(({ start, end }) => end - start).reduce((a, b) => (a < b ? a : b));
  const free = gaps(merge([...taken, own]), PAGE, USER_SPACE_END).filter(
    ({ start, end }) => end - start >= least,
  );
  const left = free.flatMap(({ start, end }) =>
    gaps(merge(ranges.filter((range) => range.start >= start && range.end <= end)), start, end),
  );
  return [
    ...free.flatMap(fillGap),
    ...views.flatMap(({ address, size, offset, fd }) => map(address, size, offset, fd)),
    ...left.map(({ start, end }) =>
      call('munmap', [start, end - start], { label: 'cannot clear the address space' }),
    ),
    ...rings.flatMap(({ file, fd }) => [
      advance(file, fd, arena),
      ...file.ring.views.flatMap(({ address }) =>
        regions
          .filter(({ region }) => region.backing.kind === 'uring' && region.start === address)
          .flatMap((placed) =>
            fillMapped(placed, context, `cannot protect ${placed.region.start.toString(16)}`),
          ),
      ),
    ]),
  ];
}

/** The rings that a thread has among its own numbers; done by the thread. */
export function planRingNumbers(process: Process, tid: number, fds: readonly number[], arena: Arena): Op[] {
  return ringsOf(process, fds).flatMap(({ file, fd }) => registerNumbers(file, tid, fd, arena));
}

function fillGap({ start, end }: Range): Op[] {
  if (start < LOWEST && end > LOWEST) {
    return [...fillGap({ start, end: LOWEST }), ...fillGap({ start: LOWEST, end })];
  }
  return [
    mapFixed(
      { start, end },
      0,
      MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.NORESERVE,
      -1,
      0,
      start < LOWEST
        ? { check: { kind: 'none' } }
        : { label: 'cannot take all room but that of an io_uring (RLIMIT_AS)' },
    ),
  ];
}

function map(address: bigint, size: number, offset: bigint, fd: number): Op[] {
  const end = address + BigInt(size);
  const label = `cannot map an io_uring at ${address.toString(16)}-${end.toString(16)} (descriptor ${fd})`;
  return [
    call('munmap', [address, size], { label }),
    call('mmap', [0n, size, Prot.READ | Prot.WRITE, MapFlag.SHARED, fd, offset], {
      ...{ label, check: { kind: 'equal', expected: address } },
      text: `mmap(NULL, ${size}, PROT_READ|PROT_WRITE, MAP_SHARED, ${fd}, 0x${offset.toString(16)})`,
    }),
  ];
}

/** `struct uring_plan` of program.h. */
function advance({ ring }: Ring, fd: number, arena: Arena): Op {
  const { setup, sqHead, cqTail, sqEntries, cqEntries, unread } = ring;
  const offsets = decodeOffsets(ring.offsets);
  const bytes = Buffer.alloc(96);
  [
    BigInt(fd),
    ringsView(ring)!.address,
    entriesView(ring)!.address,
    BigInt(sqeSize(setup)),
    setup & SETUP.NO_SQARRAY ? 0n : 1n,
    setup & SETUP.DEFER_TASKRUN ? 1n : 0n,
  ].forEach((word, i) => {
    bytes.writeBigUInt64LE(word, i * 8);
  });
  [
    ...[offsets.sqHead, offsets.sqTail, offsets.array, offsets.cqHead, offsets.cqTail],
    ...[sqEntries, cqEntries, sqHead, cqTail, unread, ring.drainDisabled ? 1 : 0],
  ].forEach((word, i) => {
    bytes.writeUInt32LE(word, 48 + i * 4);
  });
  return {
    ...{ op: 'builtin', name: 'advance_uring', args: [arena.bytes(bytes)] },
    label: `cannot bring an io_uring to where it was, ${sqHead} entries and ${cqTail} completions (descriptor ${fd})`,
    text: `advance_uring(${fd}, ${sqHead}, ${cqTail})`,
  };
}
