/** Captures a stopped process: everything that a snapshot holds, and where its contents are to be copied from. */
import { constants, openSync } from 'node:fs';
import { arch, hostname, release, version } from 'node:os';
import { TargetError, UnsupportedError } from '../errors.js';
import { Clock, clockGettime } from '../native/syscalls.js';
import type { ThreadState, Tracer } from '../native/tracer.js';
import type { DescriptorTable } from '../snapshot/descriptors.js';
import { decodeRegisters } from '../snapshot/registers.js';
import type { Snapshot } from '../snapshot/schema.js';
import type { Blob } from '../thaw/plan.js';
import { captureAio } from './aio.js';
import { clockOffsets } from './clocks.js';
import { closeAll } from './content.js';
import { outOfCriticalSection } from './critical-section.js';
import type { DescriptorChoices } from './descriptors/choices.js';
import { removedWorkingFolder } from './descriptors/folder.js';
import { captureDescriptors } from './descriptors/index.js';
import { removeHold } from './descriptors/tcp-hold.js';
import { type FileChoices, FileDecisions } from './file-choices.js';
import { assertSettled, TURN_MS, tryLater } from './hold.js';
import { readMemory } from './infect.js';
import { interrogate } from './interrogate.js';
import { findScratch, findTrampolines, withoutLeftovers } from './leftovers.js';
import { type Mapping, readMappings } from './maps.js';
import { nameCalls } from './named-calls.js';
import { ObjectTable } from './objects.js';
import { surveyProcess } from './preflight.js';
import { describeProcessor } from './processor.js';
import { captureRegions, followObjects } from './region-capture.js';
import type { RegionOptions } from './regions.js';
import { reserveWarnings } from './reserved-pages.js';
import { followRings } from './ring-regions.js';
import { type Deadline, epollDeadlines, type SleepHint } from './sleep.js';
import { followUrings } from './uring-regions.js';
import { findUnseenRings, NO_UNSEEN_RINGS } from './uring-unseen.js';

/** What the user lets go of, or wants otherwise. */
export interface CaptureOptions extends Omit<RegionOptions, 'files'> {
  readonly files: FileChoices;
  readonly dropChildren: boolean;
  readonly workingDirectory?: string | undefined;
  readonly descriptors: DescriptorChoices;
  readonly lazy: boolean;
  readonly tool: string;
  /** There may be another attempt: see `tryLater` of hold.ts. */
  readonly patient: boolean;
}

/** A run of bytes to copy into the image once it has its place there. */
export interface ContentSource {
  /** Descriptor to copy from. */
  readonly fd: number;
  /** Offset in it of the content's own offset or address 0. */
  readonly base: bigint;
  /** What `fd` was like, where others may write to it while it is copied. */
  readonly stamp?: { readonly path: string; readonly size: bigint; readonly modified: bigint };
}

/** A captured process. */
export interface Capture {
  readonly snapshot: Snapshot;
  /** `/proc/PID/mem`, from which regions are copied. */
  readonly mem: number;
  /** `/dev/zero`. */
  readonly zeros: number;
  /** Where each memory object is copied from, in the order of `objects`. */
  readonly objectSources: readonly ContentSource[];
  readonly warnings: readonly string[];
  /** What its threads have chosen: see {@link policyText}. */
  readonly memoryPolicies: readonly string[];
  /** Timeouts that the process would otherwise wait for once more when it is let go. */
  readonly deadlines: readonly Deadline[];
  /** Closes every descriptor that the capture holds. */
  close(): void;
}

const USER_CS = 0x33n;
/** A vDSO function runs in well under a microsecond; its retry loops need a few rounds. */
const VDSO_STEPS = 4096;

/**
 * Captures a process that `tracer` holds. The process is not changed: what is made in it is undone
 * by the tracer on release.
 * @throws UnsupportedError naming everything that cannot be carried
 */
export function captureProcess(
  pid: number,
  tids: readonly number[],
  tracer: Tracer,
  blob: Blob,
  hints: ReadonlyMap<number, SleepHint>,
  options: CaptureOptions,
): Capture {
  const fds = new Set<number>();
  const open = (path: string, flags: number): number => {
    const fd = openSync(path, flags);
    fds.add(fd);
    return fd;
  };
  let held: string | null = null;
  try {
    const mem = open(`/proc/${pid}/mem`, constants.O_RDWR);
    const pagemap = open(`/proc/${pid}/pagemap`, constants.O_RDONLY);
    const mappings = readMappings(pid, 'smaps');
    const states = holdStates(tracer, tids, mappings, options.patient).map((state) =>
      outOfCriticalSection(state, (address, size) => readMemory(mem, address, size)),
    );
    const calls = nameCalls(states, mem, hints);
    const trampolines = findTrampolines(mem, mappings);
    const stray = findScratch(mem, mappings, blob.bytes);
    assertSettled(states, stray);
    const theirs = withoutLeftovers(mappings, [...trampolines, ...stray]);
    const objects = new ObjectTable();
    const files = new FileDecisions(options.files);
    const problems = [
      ...surveyProcess(pid, options),
      ...dispatchProblems(states),
      ...segmentProblems(states),
    ];
    const regions = captureRegions(
      {
        pid,
        mem,
        pagemap,
        options: { ...options, files },
        objects,
        root: '',
        problems,
        keep: (fd) => fds.add(fd),
      },
      theirs,
    );
    // Before descriptors: what is in flight may yet change what they stand for.
    const aio = captureAio(
      pid,
      regions.regions.filter(({ backing }) => backing.kind === 'aio'),
    );
    // One that is stopped would not make use of the time.
    const patient = options.patient && !states.some(({ groupStopped }) => groupStopped);
    const descriptors = captureDescriptors({
      pid,
      objects,
      choices: options.descriptors,
      files,
      sharing: options,
      guard: tracer,
      keep: (fd) => fds.add(fd),
    });
    held = descriptors.table.hold;
    // Where all descriptors are carried: others are named themselves.
    const lost: string[] = [];
    files.assertUsed(pid);
    const known = followRings(followObjects(regions.regions, objects), descriptors.table, lost);
    const shown = followUrings(known, descriptors.table, lost);
    const unseen =
      descriptors.problems.length === 0
        ? findUnseenRings(pid, ringDescriptors(descriptors.table))
        : NO_UNSEEN_RINGS;
    if (descriptors.problems.length === 0) problems.push(...lost, ...unseen.problems, ...unseen.passing);
    problems.push(...descriptors.problems, ...aio.problems, ...aio.passing, ...calls.problems);
    const { outlook } = descriptors;
    const passing = descriptors.passing + aio.passing.length + unseen.passing.length;
    const hopeful = passing > 0 || (outlook.losses > 0 && !outlook.unrepeatable);
    if (patient && hopeful && problems.length === passing)
      tryLater(TURN_MS, passing > 0 ? undefined : outlook.losses);
    if (problems.length > 0) throw new UnsupportedError(problems);
    const { process, memoryPolicies } = interrogate(
      pid,
      tracer,
      blob,
      mem,
      mappings,
      states,
      trampolines,
      calls,
      stray,
    );
    const workingFolder =
      options.workingDirectory === undefined ? removedWorkingFolder(pid, descriptors.table.folders) : null;
    const ahead = clockOffsets(pid);
    const snapshot: Snapshot = {
      version: 1,
      taken: {
        realtime: clockGettime(Clock.REALTIME),
        monotonic: clockGettime(Clock.MONOTONIC) + ahead.monotonic,
        boottime: clockGettime(Clock.BOOTTIME) + ahead.boottime,
      },
      tool: options.tool,
      host: {
        name: hostname(),
        kernel: release(),
        kernelVersion: version(),
        machine: arch() === 'x64' ? 'x86_64' : arch(),
      },
      processor: describeProcessor(process),
      lazy: options.lazy,
      processes: [
        {
          ...process,
          workingDirectory: options.workingDirectory ?? process.workingDirectory,
          ...(workingFolder === null ? {} : { workingFolder }),
          ...regions,
          regions: shown,
          objects: [...objects.objects],
          aioContexts: [...aio.contexts],
          descriptors: descriptors.table,
        },
      ],
    };
    return {
      snapshot,
      mem,
      memoryPolicies,
      zeros: open('/dev/zero', constants.O_RDONLY),
      objectSources: objects.sources,
      warnings: [
        ...descriptors.warnings,
        ...reserveWarnings(objects.objects, objects.sources),
        ...stopWarnings(states),
      ],
      deadlines: epollDeadlines(states, hints, mappings),
      close: () => closeAll(fds),
    };
  } catch (error) {
    // The tracer sees to it, unless it is the one that was killed.
    if (held !== null) removeHold(held);
    closeAll(fds);
    throw error;
  }
}

function ringDescriptors({ files, descriptors }: DescriptorTable): number[] {
  return descriptors.filter(({ file }) => files[file]!.kind === 'uring').map(({ fd }) => fd);
}

/** An image runs, whatever state the process was found in. */
function stopWarnings(states: readonly ThreadState[]): string[] {
  return states.some(({ groupStopped }) => groupStopped)
    ? ['the process is stopped (SIGSTOP or the like) and stays so; its image will run at once']
    : [];
}

/** Wine and the like: calls from code that is not theirs become SIGSYS, at the thaw the trampoline's as well. */
function dispatchProblems(states: readonly ThreadState[]): string[] {
  return states
    .filter(({ dispatches }) => dispatches)
    .map(
      ({ tid }) =>
        `thread ${tid} has its system calls dispatched to itself (PR_SET_SYSCALL_USER_DISPATCH), which is not carried yet`,
    );
}

/** 64-bit programs leave these at 0, but for those that go over to 32-bit code. rt_sigreturn(2) does not set them. */
function segmentProblems(states: readonly ThreadState[]): string[] {
  return states.flatMap(({ tid, registers }) => {
    const set = decodeRegisters(registers);
    const used = (['ds', 'es', 'fs', 'gs'] as const).filter((name) => set[name] !== 0n);
    if (used.length === 0) return [];
    const values = used.map((name) => `${name} ${set[name].toString(16)}`).join(', ');
    return [`thread ${tid} has segment registers of its own (${values}), which are not carried yet`];
  });
}

/** States of all threads, none of them inside the vDSO, whose code may differ where the image is thawed. */
function holdStates(
  tracer: Tracer,
  tids: readonly number[],
  mappings: readonly Mapping[],
  patient: boolean,
): ThreadState[] {
  const vdso = mappings.find(({ path }) => path === '[vdso]');
  return tids.map((tid) => {
    let state = tracer.state(tid);
    const { rip, cs } = decodeRegisters(state.registers);
    if (cs !== USER_CS) {
      throw new TargetError(
        `thread ${tid} runs 32-bit code: only 64-bit x86 processes can be frozen for now`,
      );
    }
    if (vdso && rip >= vdso.start && rip < vdso.end) {
      if (patient) tryLater();
      if (tracer.stepOut(tid, vdso.start, vdso.end, VDSO_STEPS)) state = tracer.state(tid);
    }
    return state;
  });
}
