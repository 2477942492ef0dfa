/** An io_uring as an image has it. What is in its rings is the content of the regions that show them. */
import * as z from 'zod';
import { PAGE_SIZE } from '../page.js';
import {
  CARRIED_SETUP,
  decodeOffsets,
  MOST_BUFFER,
  MOST_BUFFERS,
  MOST_CQ_ENTRIES,
  MOST_FILES,
  MOST_RING_FDS,
  MOST_SQ_ENTRIES,
  OFFSET,
  OFFSETS_SIZE,
  SETUP,
  usedSizes,
} from '../uring.js';
import { bytes, index, int, word } from './fields.js';

const word32 = int.min(0).max(0xffff_ffff);
const powerOfTwo = (most: number) =>
  int
    .min(1)
    .max(most)
    .refine((value) => (value & (value - 1)) === 0, 'is no power of two');
/** A mapping of it. */
interface View {
  readonly address: bigint;
  readonly size: number;
  readonly offset: bigint;
}

interface Mapped {
  readonly views: readonly View[];
}

const page = word.refine((value) => value % BigInt(PAGE_SIZE) === 0n, 'is no page');

/** How it was set up, how far the kernel is in it, and where the program sees it. */
export const ringShapeSchema = z
  .object({
    /** `IORING_SETUP_*`, as they are: IORING_SETUP_R_DISABLED until it is enabled. */
    setup: word32.refine((value) => (value & ~CARRIED_SETUP) === 0, 'is set up as none that is carried'),
    sqEntries: powerOfTwo(MOST_SQ_ENTRIES),
    cqEntries: powerOfTwo(MOST_CQ_ENTRIES),
    /** `IORING_FEAT_*` of the kernel. */
    features: word32,
    /** `sq_off` and `cq_off` of `struct io_uring_params`: where in the memory of the rings things are. */
    offsets: bytes.refine((value) => value.length === OFFSETS_SIZE, 'are no offsets'),
    /** How many entries the kernel has taken, and how many completions it has told, modulo 2^32. */
    sqHead: word32,
    cqTail: word32,
    /** Completions that the program has not taken. */
    unread: index,
    /** An entry with IOSQE_CQE_SKIP_SUCCESS was submitted: from then on IOSQE_IO_DRAIN is refused. */
    drainDisabled: z.boolean(),
    /** Where it is mapped, `offset` as for mmap(2). */
    views: z.array(z.object({ address: page, size: int.min(PAGE_SIZE).multipleOf(PAGE_SIZE), offset: word })),
  })
  .refine(({ unread, cqEntries }) => unread <= cqEntries, 'has more completions than fit into it')
  .refine(
    ({ setup, sqHead, cqTail }) => !(setup & SETUP.R_DISABLED) || (sqHead === 0 && cqTail === 0),
    'has been used before it was enabled',
  )
  .refine(
    ({ drainDisabled, sqHead }) => !drainDisabled || sqHead > 0,
    'was submitted to, and has taken nothing',
  )
  .refine((shape) => {
    const offsets = decodeOffsets(shape.offsets);
    const used = usedSizes(shape, offsets);
    const words = [offsets.sqHead, offsets.sqTail, offsets.cqHead, offsets.cqTail];
    return (
      sizeOf(ringsView(shape)) >= used.rings &&
      sizeOf(entriesView(shape)) >= used.sqes &&
      words.every((at) => at + 4 <= used.rings)
    );
  }, 'is not mapped as a whole');

/** See {@link ringShapeSchema}. */
export type RingShape = z.infer<typeof ringShapeSchema>;

/** What is registered with it. */
export const registeredSchema = {
  /** Slots for files: index into `files`, `null` for an empty one; `null`: none are registered. */
  slots: z
    .object({
      files: z
        .array(z.object({ file: index, tag: word }).nullable())
        .min(1)
        .max(MOST_FILES),
      /** In which of them the kernel itself places files: the first of these, and one more than the last. */
      first: index,
      end: index,
      /** The one with which it begins to look for an empty one. */
      next: index,
    })
    .nullable(),
  /** `null` for an empty slot; `null`: none are registered. */
  buffers: z
    .array(z.object({ address: word, size: int.min(1).max(MOST_BUFFER), tag: word }).nullable())
    .min(1)
    .max(MOST_BUFFERS)
    .nullable(),
  /** An eventfd that is told of completions: index into `files`. */
  eventfd: z.object({ file: index, async: z.boolean() }).nullable(),
  /** Most workers, those for files and others; `null`: the kernel's own choice. */
  workers: z.tuple([word32, word32]).nullable(),
  /** `CLOCK_*` of its timeouts. */
  clock: z.union([z.literal(1), z.literal(7)]),
  /** Where threads have its descriptor registered: id, `null` for the first thread. */
  numbers: z.array(
    z.object({
      thread: index.nullable(),
      slot: int.min(0).max(MOST_RING_FDS - 1),
    }),
  ),
};

/** The largest view of the rings. */
export function ringsView({ views }: Mapped): View | undefined {
  return largest(views.filter(({ offset }) => offset === OFFSET.SQ_RING || offset === OFFSET.CQ_RING));
}

/** The largest view of the entries that are submitted. */
export function entriesView({ views }: Mapped): View | undefined {
  return largest(views.filter(({ offset }) => offset === OFFSET.SQES));
}

function largest(views: readonly View[]): View | undefined {
  return views.reduce<View | undefined>(
    (most, view) => (most === undefined || view.size > most.size ? view : most),
    undefined,
  );
}

function sizeOf(view: View | undefined): number {
  return view?.size ?? 0;
}
