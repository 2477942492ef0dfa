/**
 * Contexts of asynchronous input and output, io_setup(2). What is in flight in them, and where the kernel goes on in
 * their rings, is read in the kernel: `struct kioctx` of fs/aio.c.
 */
import { aioRingSize } from '../aio.js';
import { BtfError } from '../kernel/btf.js';
import { KernelFault, type KernelMemory } from '../kernel/memory.js';
import { listOf, perCpuOffsets, perCpuSum, taskOf } from '../kernel/objects.js';
import { openKernel } from '../kernel/open.js';
import { sleepSync } from '../native/syscalls.js';
import { type AioContext, aioRange } from '../snapshot/aio-context.js';
import type { Mapping } from './maps.js';
import { describeMapping } from './regions.js';

/** Memory that shows a ring, or a part of it. */
export type RingView = Pick<Mapping, 'start' | 'end' | 'offset' | 'prot' | 'shared' | 'path'>;

/** What was found of a process's contexts. */
export interface AioCapture {
  /** By their numbers, ascending. */
  readonly contexts: readonly AioContext[];
  /** What cannot be carried. */
  readonly problems: readonly string[];
  /** What cannot be carried now: it passes by itself, as what is in flight completes. */
  readonly passing: readonly string[];
}

/** Low bits of `percpu_ref.percpu_count_ptr`: it is counted otherwise, or has ended. */
const REF_FLAGS = 3n;
/** References to `kioctx.reqs` that are none of a request. */
const OWN_REFERENCES = 1n;
/** For disks: a process that is stopped starts nothing new, so that what is in flight becomes less. */
const DRAIN_MS = 100;

/**
 * Contexts of a process that is stopped. To be read before all that a request in flight might still change: what is
 * counted in its eventfd, for one.
 * @param views all memory of the process that shows rings, ascending
 * @param patience milliseconds that may pass until what is in flight has completed
 */
export function captureAio(pid: number, views: readonly RingView[], patience = DRAIN_MS): AioCapture {
  if (views.length === 0) return { contexts: [], problems: [], passing: [] };
  const kernel = openKernel();
  if (typeof kernel === 'string') return refused(views, `cannot be carried, because ${kernel}`);
  try {
    return readContexts(kernel, pid, views, patience);
  } catch (error) {
    if (!(error instanceof BtfError || error instanceof KernelFault)) throw error;
    return refused(
      views,
      `cannot be carried, as this kernel keeps it in a form that is not known: ${error.message}`,
    );
  }
}

/** What cannot be carried of a process that runs. */
export function surveyAio(pid: number, views: readonly RingView[]): readonly string[] {
  return captureAio(pid, views, 0).problems;
}

function refused(views: readonly RingView[], why: string): AioCapture {
  return { contexts: [], problems: views.map((view) => problemOf(view, why)), passing: [] };
}

function problemOf(view: RingView, why: string): string {
  return `the memory at ${describeMapping(view)} is the ring of an AIO context (io_setup) that ${why}`;
}

function readContexts(
  kernel: KernelMemory,
  pid: number,
  views: readonly RingView[],
  patience: number,
): AioCapture {
  let rest = patience;
  const offsets = perCpuOffsets(kernel);
  const contexts: AioContext[] = [];
  const problems: string[] = [];
  const passing: string[] = [];
  const left = new Set(views);
  for (const { id, address } of tableOf(kernel, pid)) {
    // Before all else: once nothing is in flight, nothing changes any more.
    let flight = flightOf(kernel, address, offsets);
    for (; flight?.waits === false && rest > 0; rest--) {
      sleepSync(1);
      flight = flightOf(kernel, address, offsets);
    }
    const context = readContext(kernel, id, address);
    const shown = viewsOf(context, views);
    if (shown === null) {
      const at = context.address.toString(16);
      problems.push(
        `the AIO context (io_setup) at ${at} cannot be carried: its ring is not mapped as a whole`,
      );
      continue;
    }
    for (const view of shown) left.delete(view);
    const { waits, why } = flight ?? { waits: false, why: accountProblem(kernel, address, context, offsets) };
    if (why === null) contexts.push(context);
    else (waits ? problems : passing).push(problemOf(shown[0]!, why));
  }
  for (const view of left) problems.push(problemOf(view, 'belongs to another process, or is gone'));
  return { contexts, problems, passing };
}

function tableOf(kernel: KernelMemory, pid: number): { readonly id: number; readonly address: bigint }[] {
  const memory = kernel.member('task_struct', taskOf(kernel, pid), 'mm');
  const table = memory === 0n ? 0n : kernel.member('mm_struct', memory, 'ioctx_table');
  if (table === 0n) return [];
  const count = Number(kernel.member('kioctx_table', table, 'nr'));
  const entries = kernel.read(kernel.place('kioctx_table', table, 'table'), 8 * count);
  return Array.from({ length: count }, (_, id) => ({ id, address: entries.readBigUInt64LE(8 * id) })).filter(
    ({ address }) => address !== 0n,
  );
}

/** What is in flight, if anything is; `waits`: for something that may never happen. */
function flightOf(
  kernel: KernelMemory,
  context: bigint,
  offsets: readonly bigint[],
): { readonly waits: boolean; readonly why: string } | null {
  const counter = kernel.member('kioctx', context, 'reqs.percpu_count_ptr');
  const dead = kernel.member('kioctx', context, 'dead') !== 0n;
  if (dead || (counter & REF_FLAGS) !== 0n) return { waits: false, why: 'is being given up (io_destroy)' };
  const count = perCpuSum(kernel, counter, 8, offsets) - OWN_REFERENCES;
  if (count === 0n) return null;
  const active = kernel.place('kioctx', context, 'active_reqs');
  const waiting = listOf(kernel, active, 'aio_kiocb', 'ki_list').length;
  const some = `has ${count} request${count === 1n ? '' : 's'} in flight`;
  if (waiting === 0) return { waits: false, why: `${some}: freeze it when all have completed` };
  return {
    waits: true,
    why: `${some}, ${waiting} of which wait${waiting === 1 ? 's' : ''} for a descriptor (IOCB_CMD_POLL): freeze it when all have completed or were cancelled`,
  };
}

function readContext(kernel: KernelMemory, id: number, address: bigint): AioContext {
  const number = (path: string): number => Number(kernel.member('kioctx', address, path));
  return {
    ...{ id, address: kernel.member('kioctx', address, 'user_id') },
    ...{ requests: number('max_reqs'), events: number('nr_events') },
    ...{ tail: number('tail'), unread: number('completed_events') },
  };
}

/** The memory that shows a ring, ascending, if it does so without gaps and in its order. */
function viewsOf(context: AioContext, views: readonly RingView[]): RingView[] | null {
  const { start, end } = aioRange(context);
  const shown = views.filter((view) => view.start >= start && view.start < end);
  let next = start;
  for (const view of shown) {
    if (view.start !== next || view.offset !== next - start) return null;
    next = view.end;
  }
  return next === end ? shown : null;
}

/** Whether every place of the ring is free or has an event. */
function accountProblem(
  kernel: KernelMemory,
  address: bigint,
  { events, unread }: AioContext,
  offsets: readonly bigint[],
): string | null {
  const free =
    kernel.member('kioctx', address, 'reqs_available') +
    perCpuSum(kernel, kernel.member('kioctx', address, 'cpu'), 4, offsets);
  if (
    kernel.member('kioctx', address, 'mmap_size') !== BigInt(aioRingSize(events)) ||
    free + BigInt(unread) !== BigInt(events - 1)
  ) {
    return `cannot be carried: of ${events} events the kernel counts ${free} free and ${unread} unread`;
  }
  return null;
}
