/** io_uring(7): its set-up, its place in the rings, and what is registered with it. */
import { closeSync } from 'node:fs';
import { errnoOf } from '../../errno.js';
import { BtfError } from '../../kernel/btf.js';
import { KernelFault, type KernelMemory } from '../../kernel/memory.js';
import { fileOf, fileReferences, perCpuOffsets, privateOf, taskOf } from '../../kernel/objects.js';
import { openKernel } from '../../kernel/open.js';
import { addon } from '../../native/addon.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { encodeParams, OFFSETS_SIZE, PARAMS, RING_LINK, SETUP } from '../../uring.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { Refusal } from './refusal.js';
import { findViews } from './uring-memory.js';
import { captureBuffers, captureEventfd, captureSlots, filesOf } from './uring-tables.js';
import {
  field,
  type RingContext,
  readCounters,
  refuseAdditions,
  refuseBoundWorkers,
  refuseInFlight,
  registeredRings,
  threadContexts,
} from './uring-view.js';

type Ring = OpenFileOf<'uring'>;

const NR_IO_URING_SETUP = 425;
const CLOCK_MONOTONIC = 1;

/** Rings made by io_uring_setup(2) in which nothing is in flight. */
export const uring: DescriptorKind = {
  matches: ({ link }) => link === RING_LINK,
  describe: ({ link }) => `io_uring, ${link}`,
  problem: () => unreadable(openKernel()),
  capture: ({ entries }, context) => {
    const kernel = openKernel();
    if (typeof kernel === 'string') throw new Refusal(unreadable(kernel)!);
    const { fd, info } = entries[0]!;
    try {
      return context.withCopy(fd, (copy) => ({
        kind: 'uring',
        flags: info.flags,
        ...captureRing(
          copy,
          kernel,
          context,
          entries.some((entry) => entry.fd > 2),
        ),
      }));
    } catch (error) {
      if (error instanceof BtfError) throw new Refusal(`it cannot be read in the kernel: ${error.message}`);
      if (error instanceof KernelFault)
        throw new Refusal(`it changes while it is looked at: ${error.message}`);
      const errno = errnoOf(error);
      if (errno !== undefined && errno !== 'ESRCH')
        throw new Refusal(`one like it cannot be made here, to compare it with (${errno})`);
      throw error;
    }
  },
};

function unreadable(kernel: KernelMemory | string): string | null {
  return typeof kernel === 'string'
    ? `the kernel tells neither how it was set up nor what is in flight, and ${kernel}`
    : null;
}

function captureRing(
  copy: number,
  kernel: KernelMemory,
  context: KindContext,
  isAbove: boolean,
): Omit<Ring, 'kind' | 'flags' | 'locks'> {
  const { pid } = context;
  const task = taskOf(kernel, pid);
  const ring: RingContext = {
    ...{ kernel, address: privateOf(kernel, copy), perCpu: perCpuOffsets(kernel) },
  };
  refuseAdditions(ring, task);
  refuseInFlight(ring);
  const { views, frame } = findViews(pid, copy, ring);
  const file = fileOf(kernel, kernel.currentTask(), copy);
  const files = filesOf(kernel, task, context);
  const numbers = captureNumbers(kernel, task, file, pid);
  const holders = (files.get(file)?.length ?? 0) + views.length + numbers.length;
  // Beside these there is our own.
  if (fileReferences(kernel, file) !== BigInt(holders) + 1n) {
    throw new Refusal('another process shares it, or maps its memory, or it is registered with a ring');
  }
  if (numbers.some(({ thread }) => thread !== null) && !isAbove) {
    throw new Refusal('a thread has it registered (IORING_REGISTER_RING_FDS), and it has no number above 2');
  }
  const counters = readCounters(ring);
  const layout = layoutOf(counters);
  refuseBoundWorkers(ring, task, kernel.currentTask());
  return {
    ring: { ...counters, ...layout, views },
    slots: captureSlots(ring, files, context),
    buffers: captureBuffers(ring, pid, frame),
    eventfd: captureEventfd(ring, files, context),
    workers: field(ring, 'iowq_limits_set') === 0n ? null : [limit(ring, 0), limit(ring, 1)],
    clock: clockOf(ring),
    numbers,
  };
}

/** Where threads have the ring among their own numbers. */
function captureNumbers(kernel: KernelMemory, task: bigint, file: bigint, pid: number): Ring['numbers'] {
  return threadContexts(kernel, task).flatMap(({ tid, context }) => {
    const thread = tid === pid ? null : tid;
    return registeredRings(kernel, context).flatMap((found, slot) =>
      found === file ? [{ thread, slot }] : [],
    );
  });
}

/** What this kernel tells a program that sets up such a ring: features, and where things are. */
function layoutOf(counters: Pick<Ring['ring'], 'setup' | 'sqEntries' | 'cqEntries'>) {
  // One that is not enabled belongs to nobody.
  const params = encodeParams({ ...counters, setup: counters.setup | SETUP.R_DISABLED });
  closeSync(Number(addon.syscall(NR_IO_URING_SETUP, counters.sqEntries, params)));
  return {
    features: params.readUInt32LE(PARAMS.features),
    offsets: new Uint8Array(params.subarray(PARAMS.offsets, PARAMS.offsets + OFFSETS_SIZE)),
  };
}

function limit({ kernel, address }: RingContext, which: number): number {
  return Number(kernel.word(kernel.place('io_ring_ctx', address, 'iowq_limits') + BigInt(4 * which), 4));
}

function clockOf(ring: RingContext): Ring['clock'] {
  const clock = Number(field(ring, 'clockid'));
  if (clock !== CLOCK_MONOTONIC && clock !== 7) throw new Refusal(`its timeouts run by clock ${clock}`);
  return clock;
}
