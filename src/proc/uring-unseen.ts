/** What a process has of io_urings to which neither a descriptor nor memory leads: only the kernel's memory tells of it. */
import type { KernelMemory } from '../kernel/memory.js';
import { counterAt, fileOf, perCpuOffsets, taskOf } from '../kernel/objects.js';
import { lookInto, openKernel } from '../kernel/open.js';
import { RING_LINK } from '../uring.js';
import type { DescriptorChoices } from './descriptors/choices.js';
import { readEntries } from './descriptors/entries.js';
import { registeredRings, threadContexts } from './descriptors/uring-view.js';

/** What cannot be carried. */
export interface UnseenRings {
  readonly problems: readonly string[];
  /** What passes by itself, as requests complete. */
  readonly passing: readonly string[];
}

/** Where there is none. */
export const NO_UNSEEN_RINGS: UnseenRings = { problems: [], passing: [] };

/**
 * Looks for rings that are only registered with a thread (`IORING_SETUP_REGISTERED_FD_ONLY`, or closed since), and for
 * requests in flight in rings that are gone. Finds nothing where the kernel cannot be looked into.
 * @param carried descriptors of the rings that are carried
 */
export function findUnseenRings(pid: number, carried: readonly number[]): UnseenRings {
  if (typeof openKernel() === 'string') return NO_UNSEEN_RINGS;
  return lookInto(
    (kernel) => (kernel.types.has('task_struct', 'io_uring') ? look(kernel, pid, carried) : NO_UNSEEN_RINGS),
    (why) => ({
      problems: [`whether it has io_urings that it has no descriptor of is not known: ${why}`],
      passing: [],
    }),
  );
}

/** What cannot be carried of a process that runs: see {@link findUnseenRings}. */
export function surveyUnseenRings(
  pid: number,
  { drop, replace, inherit }: Pick<DescriptorChoices, 'drop' | 'replace' | 'inherit'>,
): readonly string[] {
  const rings = readEntries(pid).filter(({ link }) => link === RING_LINK);
  const carried = rings
    .map(({ fd }) => fd)
    .filter((fd) => ![drop, replace, inherit].some((chosen) => chosen.has(fd)));
  return findUnseenRings(pid, carried).problems;
}

function look(kernel: KernelMemory, pid: number, carried: readonly number[]): UnseenRings {
  const task = taskOf(kernel, pid);
  const threads = threadContexts(kernel, task);
  if (threads.length === 0) return NO_UNSEEN_RINGS;
  const known = new Set([0n, ...carried.map((fd) => fileOf(kernel, task, fd))]);
  const problems = threads.flatMap(({ tid, context }) =>
    registeredRings(kernel, context).flatMap((file, slot) =>
      known.has(file)
        ? []
        : [
            `thread ${tid} has an io_uring under its number ${slot} (IORING_REGISTER_RING_FDS, IORING_SETUP_REGISTERED_FD_ONLY) to which no descriptor leads that is carried`,
          ],
    ),
  );
  const perCpu = perCpuOffsets(kernel);
  const isInFlight = threads.some(({ context }) => {
    const counted = counterAt(kernel, kernel.place('io_uring_task', context, 'inflight'), perCpu);
    return counted !== BigInt.asIntN(32, kernel.member('io_uring_task', context, 'cached_refs'));
  });
  return {
    problems,
    passing: isInFlight ? ['requests are in flight in an io_uring that is not carried'] : [],
  };
}
