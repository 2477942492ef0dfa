/** How the kernel has set up an io_uring, and what is in flight in it: it tells so nowhere but in its own memory. */
import type { KernelMemory } from '../../kernel/memory.js';
import { chainOf, referencesAt, threadsOf } from '../../kernel/objects.js';
import type { RingShape } from '../../snapshot/uring.js';
import { CARRIED_SETUP, MOST_RING_FDS, SETUP } from '../../uring.js';
import { PassingRefusal, Refusal } from './refusal.js';

/** A `struct io_ring_ctx`, and what it takes to read it. */
export interface RingContext {
  readonly kernel: KernelMemory;
  /** Its address. */
  readonly address: bigint;
  /** What has to be added to addresses of memory that each processor has of its own. */
  readonly perCpu: readonly bigint[];
}

/** `PF_IO_WORKER` of a thread that works for an io_uring: it is the kernel's own, and never runs the program. */
const PF_IO_WORKER = 0x10n;
/** `IO_URING_NAPI_TRACK_INACTIVE` */
const NAPI_INACTIVE = 255n;

/** A number in the context. */
export function field({ kernel, address }: RingContext, path: string): bigint {
  return kernel.member('io_ring_ctx', address, path);
}

/** Lists that hold something while a ring has something to do, by their first link. */
const BUSY_LISTS = ['work_llist.first', 'retry_llist.first', 'fallback_llist.first'];
/** What belongs to a ring that is not carried. */
const ADDITIONS: readonly (readonly [path: string, what: string])[] = [
  [
    'io_bl_xa.xa_head',
    'buffers from which the kernel chooses (IORING_REGISTER_PBUF_RING, IORING_OP_PROVIDE_BUFFERS)',
  ],
  ['personalities.xa_head', 'credentials (IORING_REGISTER_PERSONALITY)'],
  ['zcrx_ctxs.xa_head', 'queues of a network card (IORING_REGISTER_ZCRX_IFQ)'],
  ['param_region.nr_pages', 'memory for arguments (IORING_REGISTER_MEM_REGION)'],
];

/**
 * Refuses a ring in which anything is in flight: the program must find it as it was.
 * @throws PassingRefusal
 */
export function refuseInFlight(ring: RingContext): void {
  const { kernel, address, perCpu } = ring;
  const at = (path: string): bigint => kernel.place('io_ring_ctx', address, path);
  // Each request has a reference, those among them that wait for their next use; the first is the ring's own.
  const requests = referencesAt(kernel, at('refs'), perCpu) - 1n;
  const spare = BigInt([...chainOf(kernel, at('submit_state.free_list'))].length);
  if (requests !== spare) {
    const count = requests - spare;
    throw new PassingRefusal(`${count} ${count === 1n ? 'request is' : 'requests are'} in flight`);
  }
  if (kernel.word(at('cq_overflow_list')) !== at('cq_overflow_list') || field(ring, 'check_cq') !== 0n) {
    throw new PassingRefusal('completions wait that did not fit into its ring');
  }
  if (BUSY_LISTS.some((path) => field(ring, path) !== 0n)) {
    throw new PassingRefusal('completions are yet to be told');
  }
}

/** What the kernel keeps of the threads of a process that have used an io_uring: addresses of `struct io_uring_task`. */
export function threadContexts(kernel: KernelMemory, task: bigint): { tid: number; context: bigint }[] {
  return threadsOf(kernel, task).flatMap((thread) => {
    const context = kernel.member('task_struct', thread, 'io_uring');
    if (context === 0n || kernel.member('task_struct', thread, 'flags') & PF_IO_WORKER) return [];
    return [{ tid: Number(kernel.member('task_struct', thread, 'pid')), context }];
  });
}

/** The `struct file`s of the rings that a thread has numbers of its own for, by number; 0 for none. */
export function registeredRings(kernel: KernelMemory, context: bigint): bigint[] {
  const slots = kernel.read(kernel.place('io_uring_task', context, 'registered_rings'), MOST_RING_FDS * 8);
  return Array.from({ length: MOST_RING_FDS }, (_, slot) => slots.readBigUInt64LE(slot * 8));
}

/**
 * Refuses workers that were told where to run (IORING_REGISTER_IOWQ_AFF): each thread has some of its own.
 * @param own our own thread, which has used an io_uring and told them nothing
 */
export function refuseBoundWorkers({ kernel }: RingContext, task: bigint, own: bigint): void {
  const usual = processorsOf(kernel, kernel.member('task_struct', own, 'io_uring'));
  const bound = threadContexts(kernel, task).some(({ context }) => {
    const processors = processorsOf(kernel, context);
    return processors !== null && usual !== null && !processors.equals(usual);
  });
  if (bound) {
    throw new Refusal(
      'its workers are bound to processors (IORING_REGISTER_IOWQ_AFF, or a cpuset), which is not carried',
    );
  }
}

/** Where a thread's workers run: bits by processor. */
function processorsOf(kernel: KernelMemory, context: bigint): Buffer | null {
  const workers = context === 0n ? 0n : kernel.member('io_uring_task', context, 'io_wq');
  if (workers === 0n) return null;
  const { size } = kernel.types.member('io_wq', 'cpu_mask');
  const place = kernel.place('io_wq', workers, 'cpu_mask');
  const mask = kernel.types.sizeOf('cpumask');
  // A kernel for very many processors keeps it elsewhere.
  return size === mask ? kernel.read(place, size) : kernel.read(kernel.word(place), 8);
}

/**
 * Refuses a ring with what is not carried.
 * @param task the first thread of the process
 * @throws Refusal
 */
export function refuseAdditions(ring: RingContext, task: bigint): void {
  const unknown = Number(field(ring, 'flags')) & ~CARRIED_SETUP;
  if (unknown !== 0) throw new Refusal(`it was set up with ${setupNames(unknown)}, which is not carried`);
  if (field(ring, 'compat') !== 0n) throw new Refusal('it was set up by 32-bit code');
  if (field(ring, 'restricted') !== 0n || field(ring, 'restrictions.registered') !== 0n)
    throw new Refusal('it has restrictions (IORING_REGISTER_RESTRICTIONS), which are not carried');
  const addition = ADDITIONS.find(([path]) => field(ring, path) !== 0n);
  if (addition) throw new Refusal(`it has ${addition[1]}, which are not carried`);
  if (field(ring, 'napi_track_mode') !== NAPI_INACTIVE)
    throw new Refusal('it polls network cards (IORING_REGISTER_NAPI), which is not carried');
  const owner = field(ring, 'submitter_task');
  if (owner !== 0n && owner !== task)
    throw new Refusal(
      'another thread than the first alone may use it (IORING_SETUP_SINGLE_ISSUER), which is not carried',
    );
}

/** `IORING_SETUP_SQPOLL|IORING_SETUP_SQ_AFF` */
function setupNames(bits: number): string {
  const names = Object.entries(SETUP).flatMap(([name, bit]) => (bits & bit ? [`IORING_SETUP_${name}`] : []));
  const rest = Object.values(SETUP).reduce((left, bit) => left & ~bit, bits);
  return [...names, ...(rest === 0 ? [] : [`0x${(rest >>> 0).toString(16)}`])].join('|');
}

/** How far kernel and program are in it. */
export function readCounters(
  ring: RingContext,
): Pick<RingShape, 'setup' | 'sqEntries' | 'cqEntries' | 'sqHead' | 'cqTail' | 'unread' | 'drainDisabled'> {
  const { kernel } = ring;
  const number = (path: string): number => Number(field(ring, path));
  const [cqEntries, cqTail] = [number('cq_entries'), number('cached_cq_tail')];
  const taken = Number(kernel.member('io_rings', field(ring, 'rings'), 'cq.head'));
  return {
    ...{ setup: number('flags'), sqEntries: number('sq_entries'), cqEntries },
    ...{ sqHead: number('cached_sq_head'), cqTail },
    // The program may have written anything there; the kernel then takes the ring to be full.
    unread: Math.min((cqTail - taken) >>> 0, cqEntries),
    drainDisabled: number('drain_disabled') === 1,
  };
}
