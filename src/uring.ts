/** Constants of io_uring: linux/io_uring.h. */

/** What links of its descriptors, and its mappings, are called. */
export const RING_LINK = 'anon_inode:[io_uring]';

/** `IORING_SETUP_*`, under the names that people know them by. */
export const SETUP = {
  IOPOLL: 1 << 0,
  SQPOLL: 1 << 1,
  SQ_AFF: 1 << 2,
  CQSIZE: 1 << 3,
  CLAMP: 1 << 4,
  ATTACH_WQ: 1 << 5,
  R_DISABLED: 1 << 6,
  SUBMIT_ALL: 1 << 7,
  COOP_TASKRUN: 1 << 8,
  TASKRUN_FLAG: 1 << 9,
  SQE128: 1 << 10,
  CQE32: 1 << 11,
  SINGLE_ISSUER: 1 << 12,
  DEFER_TASKRUN: 1 << 13,
  NO_MMAP: 1 << 14,
  REGISTERED_FD_ONLY: 1 << 15,
  NO_SQARRAY: 1 << 16,
  HYBRID_IOPOLL: 1 << 17,
  CQE_MIXED: 1 << 18,
} as const;

/** What a ring may have been set up with and is carried. */
export const CARRIED_SETUP =
  SETUP.IOPOLL |
  SETUP.CQSIZE |
  SETUP.CLAMP |
  SETUP.R_DISABLED |
  SETUP.SUBMIT_ALL |
  SETUP.COOP_TASKRUN |
  SETUP.TASKRUN_FLAG |
  SETUP.SQE128 |
  SETUP.CQE32 |
  SETUP.SINGLE_ISSUER |
  SETUP.DEFER_TASKRUN |
  SETUP.NO_SQARRAY |
  SETUP.HYBRID_IOPOLL |
  SETUP.CQE_MIXED;

/** `IORING_REGISTER_*` */
export const REGISTER = {
  EVENTFD: 4,
  EVENTFD_ASYNC: 7,
  FILES2: 13,
  FILES_UPDATE2: 14,
  BUFFERS2: 15,
  BUFFERS_UPDATE: 16,
  IOWQ_MAX_WORKERS: 19,
  RING_FDS: 20,
  FILE_ALLOC_RANGE: 25,
  CLOCK: 29,
} as const;

/** `IORING_RSRC_REGISTER_SPARSE` */
export const RSRC_SPARSE = 1;

/** Offsets for mmap(2): the rings, the same once more, and the entries that are submitted. */
export const OFFSET = { SQ_RING: 0n, CQ_RING: 0x800_0000n, SQES: 0x1000_0000n } as const;

/** Most entries, and most slots for files and buffers. */
export const MOST_SQ_ENTRIES = 32768;
export const MOST_CQ_ENTRIES = 65536;
export const MOST_FILES = 1 << 20;
export const MOST_BUFFERS = 1 << 14;
/** Largest buffer, in bytes. */
export const MOST_BUFFER = 1 << 30;
/** Ring descriptors that a thread can register. */
export const MOST_RING_FDS = 16;

/** `struct io_uring_params`: its size, and where members are. */
export const PARAMS = { size: 120, sqEntries: 0, cqEntries: 4, flags: 8, features: 20, offsets: 40 } as const;
/** Bytes of `sq_off` and `cq_off` together. */
export const OFFSETS_SIZE = 80;

/** What `sq_off` and `cq_off` tell of the places in the memory of the rings. */
export interface RingOffsets {
  readonly sqHead: number;
  readonly sqTail: number;
  readonly array: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cqes: number;
}

/** Reads `sq_off` and `cq_off`. */
export function decodeOffsets(bytes: Uint8Array): RingOffsets {
  const words = new Uint32Array(bytes.slice().buffer);
  const at = (index: number): number => words[index] ?? 0;
  return { sqHead: at(0), sqTail: at(1), array: at(6), cqHead: at(10), cqTail: at(11), cqes: at(15) };
}

/** `struct io_uring_params` for io_uring_setup(2). */
export function encodeParams({ setup, sqEntries, cqEntries }: RingSize): Buffer {
  const params = Buffer.alloc(PARAMS.size);
  // The rings may have been resized since they were set up.
  const size = cqEntries === 2 * sqEntries ? 0 : SETUP.CQSIZE;
  params.writeUInt32LE((setup | size) >>> 0, PARAMS.flags);
  params.writeUInt32LE(cqEntries, PARAMS.cqEntries);
  return params;
}

/** What decides on the memory of the rings. */
export interface RingSize {
  /** {@link SETUP} */
  readonly setup: number;
  readonly sqEntries: number;
  readonly cqEntries: number;
}

/** Bytes that the kernel uses of the memory of the rings, and of the entries that are submitted. */
export function usedSizes(
  { setup, sqEntries, cqEntries }: RingSize,
  { array, cqes }: RingOffsets,
): {
  readonly rings: number;
  readonly sqes: number;
} {
  const completions = cqes + cqEntries * (setup & SETUP.CQE32 ? 32 : 16);
  const submissions = setup & SETUP.NO_SQARRAY ? 0 : array + sqEntries * 4;
  return { rings: Math.max(completions, submissions), sqes: sqEntries * sqeSize(setup) };
}

/** Bytes of an entry that is submitted. */
export function sqeSize(setup: number): number {
  return setup & SETUP.SQE128 ? 128 : 64;
}

/** Warns that what a slot of an io_uring holds goes with its descriptor. */
export function slotLeft(fd: number, slot: number): string {
  return `descriptor ${fd}: an io_uring loses it from its slot ${slot} (IORING_REGISTER_FILES), which would have kept it open`;
}

/** Warns that an io_uring has no eventfd any more. */
export function eventfdLeft(fd: number): string {
  return `descriptor ${fd}: an io_uring signals no completions to it any more (IORING_REGISTER_EVENTFD)`;
}
