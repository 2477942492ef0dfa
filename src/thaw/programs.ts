/** The thaw programs of an image, in the order in which things must happen. */
import { quoted } from '../byte-text.js';
import { UnsupportedError } from '../errors.js';
import { AT_FDCWD, O } from '../fcntl.js';
import { PR_SET_MDWE, PROCESS_SETTINGS } from '../snapshot/prctl-settings.js';
import type { MappedFile, Process, Region, Snapshot, Thread } from '../snapshot/schema.js';
import { findPlace, gaps, merge, type Range, USER_SPACE_END } from './addresses.js';
import { planAio } from './aio.js';
import type { Arena } from './arena.js';
import { assemble } from './assembler.js';
import { call, MapFlag, mapFixed, Prot, prctl } from './calls.js';
import { planDescriptors } from './descriptors/index.js';
import { finishPlan, planFrames, planTrampoline } from './finish.js';
import { closeOwn, keepMessages, lowestOwn, openImage, STDERR } from './image-descriptor.js';
import { planLimits, planRaisedLimits } from './limits.js';
import { type PlacedRegion, planGaps, planName, planRegion, planSeals } from './memory.js';
import { imageOptions, printingPrograms, USAGE_PROGRAM } from './options.js';
import type { OwnMemory } from './own-memory.js';
import { planRings, ringRoom } from './packet-rings.js';
import {
  planEnvironment,
  planFutureLocks,
  planMemoryMap,
  planProcFiles,
  planSharedPending,
  planSignalActions,
  planTimerStart,
  planTimers,
} from './process.js';
import { type Cell, Flag, type Op, type Program } from './program.js';
import { planReaders } from './read-only-objects.js';
import { planRedraw } from './redraw.js';
import { planSharedMemory, sharedMemoryRoom } from './shared-memory.js';
import { planPrivileges, planSettings, planThread } from './thread.js';
import { planThreadFolders } from './thread-folders.js';
import { planRingNumbers, planUrings } from './urings.js';
import { vdsoPlan } from './vdso.js';
import { planVerdict } from './verdict.js';

const SEEK_END = 2;
const PR_SET_DUMPABLE = 4;

/** XCR0 bits and what people call them, for refusals. */
const FEATURES: readonly (readonly [bigint, string])[] = [
  [1n << 2n, 'AVX'],
  [(1n << 5n) | (1n << 6n) | (1n << 7n), 'AVX-512'],
  [1n << 9n, 'protection keys (PKU)'],
  [(1n << 17n) | (1n << 18n), 'AMX'],
];

/**
 * Plans and assembles all programs into the arena.
 * @returns the address of the thaw header
 */
export function planPrograms(
  arena: Arena,
  snapshot: Snapshot,
  process: Process,
  regions: readonly PlacedRegion[],
  memory: OwnMemory,
  text: bigint,
  segments: readonly { readonly vaddr: bigint; readonly span: Range; readonly region: Region }[],
): bigint {
  const [leader, ...others] = process.threads as [Thread, ...Thread[]];
  const trampoline = planTrampoline(process.threads);
  const frames = planFrames(arena, process.threads, snapshot.processor, memory.trampoline, trampoline);
  const tids = process.threads.map(() => arena.cell());
  const tidOf = (tid: number): Cell | null => tids[process.threads.findIndex((t) => t.tid === tid)] ?? null;
  const barrier = arena.reserve(8);
  const gate = arena.reserve(8);
  const pid = arena.cell();
  const refusal = arena.cell();
  const messages = arena.cell(STDERR);
  const scratch = arena.cell();
  const printing = printingPrograms(arena, snapshot);
  const folders = planThreadFolders(arena, process);
  // One thread's operations at a time, as with regions below.
  function* run(thread: Thread, i: number): Generator<Op> {
    const frame = frames.frames[i + 1]!;
    yield* folders.open(thread.tid);
    yield* planRingNumbers(process, thread.tid, descriptors.files, arena);
    yield* planThread(arena, thread, tids[i + 1]!);
    yield* planPrivileges(arena, process, thread);
    yield* [
      convert(frame.xstatePlan),
      { op: 'barrier', address: barrier, parties: process.threads.length },
      { op: 'builtin', name: 'resume', args: [frame.address, gate], check: { kind: 'none' } },
    ];
  }
  const threadPrograms = others.map(
    (thread, i): Program => ({ name: `thread ${thread.tid}`, ops: run(thread, i) }),
  );
  const thaw: Range = { start: text, end: memory.end };
  const own = lowestOwn(process);
  const image = own;
  const descriptors = planDescriptors({
    ...{ arena, process, imageFd: image, firstTemporary: own + 1, scratch },
    redraw: planRedraw(arena, process, frames.frames[0]!.address),
    tidOf: (tid) => tidOf(tid)!,
    folders,
  });
  const mappedFiles = process.mappedFiles.map(() => arena.cell());
  const readers = planReaders(arena, process, descriptors.objects);
  const context = { image, objects: descriptors.objects, readers: readers.fds, mappedFiles };
  const needed = [BigInt(sharedMemoryRoom(process)), ringRoom(process)].reduce((a, b) => (a > b ? a : b));
  const room = needed === 0n ? 0n : roomFor(needed, process, thaw);
  const unmap = thaw.start < memory.trampoline ? [{ start: thaw.start, end: memory.trampoline }] : [];
  // One region's operations at a time: there may be ten thousand of them.
  function* main(): Generator<Op> {
    yield* [
      ...planProcessor(snapshot),
      ...planRaisedLimits(process, descriptors.count + process.mappedFiles.length + readers.fds.size),
      ...openImage(arena, image),
      // Before a child is made: what it need not have is not copied, nor kept by the supervisor.
      {
        op: 'builtin',
        name: 'park_vdso',
        args: [memory.parking, memory.parkingSize],
        label: "cannot move the kernel's vDSO out of the way",
      },
      ...planSpace({ start: 0n, end: thaw.start }, segments, regions),
      ...becomeItself(snapshot, process, pid, refusal),
      ...descriptors.open,
      ...process.mappedFiles.flatMap((file, i) => openMappedFile(arena, file, mappedFiles[i]!)),
      ...planSpace({ start: thaw.end, end: USER_SPACE_END }, segments, regions),
      ...planVerdict(arena, process, regions),
    ];
    yield* readers.ops;
    for (const placed of regions) yield* planRegion(placed, context);
    yield* [
      ...planSharedMemory(process, context, room),
      ...planRings(process, regions, descriptors.files, context, room),
      ...planAio(arena, process, regions, context),
      ...planUrings(process, regions, descriptors.files, context, arena, thaw),
      ...regions.flatMap(({ region }) => planName(region, (name) => arena.string(name))),
      {
        op: 'builtin',
        name: 'place_vdso',
        args: [vdsoPlan(arena, process)],
        label: 'cannot put the vDSO back',
      },
      ...planMemoryMap(arena, process),
      ...planEnvironment(arena, process, descriptors.folders),
      ...planSignalActions(arena, process),
      ...others.map(
        (thread, i): Op => ({
          op: 'spawn',
          program: FIRST_THREAD_PROGRAM + i,
          tid: thread.tid,
          stackTop: memory.threadStacks[i]!,
          result: tids[i + 1]!,
          label: `cannot start thread ${thread.tid} (${thread.comm})`,
          text: `clone3(thread ${thread.tid})`,
        }),
      ),
      ...planTimers(arena, process, tidOf),
      ...planProcFiles(arena, process),
      ...planSharedPending(arena, process, pid),
      ...keepMessages(image, messages),
      ...descriptors.finish,
      // While there is room for it: the process may have been at its limit.
      mapFixed(
        { start: memory.trampoline, end: memory.trampoline + BigInt(trampoline.size) },
        // Executable in the end, which has to be known now where nothing may become so.
        Prot.READ | Prot.WRITE | (forbidsNewCode(process) ? Prot.EXEC : 0),
        MapFlag.PRIVATE | MapFlag.ANONYMOUS,
        -1,
        0,
        { label: 'cannot make the last page' },
      ),
      ...planSeals(process.regions),
      ...planFutureLocks(process),
      ...planSettings(PROCESS_SETTINGS, process.settings),
      ...planThread(arena, leader, tids[0]!),
      ...planLimits(process.limits),
      convert(frames.frames[0]!.xstatePlan),
      { op: 'barrier', address: barrier, parties: process.threads.length },
      // Nothing can fail any more, and what others notice still has the privileges that it takes.
      ...descriptors.release,
      ...planPrivileges(arena, process, leader),
      prctl('PR_SET_DUMPABLE', PR_SET_DUMPABLE, [1], { check: { kind: 'none' } }),
      ...planTimerStart(arena, process),
      { op: 'builtin', name: 'say_ids', args: [process.pid, refusal], unless: Flag.CHECK },
      // Until here messages could be written.
      ...closeOwn(own),
      {
        op: 'builtin',
        name: 'finish',
        args: [
          finishPlan(arena, {
            page: memory.trampoline,
            layout: trampoline,
            frames,
            unmap,
            dumpable: process.dumpable,
            tids: tids.slice(1),
            gate,
            again: others.map((thread) => thread.inCall),
          }),
        ],
        label: 'cannot start the process',
      },
    ];
  }
  const undo: Program[] = descriptors.undo.length > 0 ? [{ name: 'undo', ops: descriptors.undo }] : [];
  return assemble(
    arena,
    [{ name: 'main', ops: main() }, ...printing, ...threadPrograms, ...undo],
    imageOptions(scratch),
    {
      flags: snapshot.lazy ? Flag.LAZY : 0,
      usageProgram: USAGE_PROGRAM,
      ...(undo.length > 0 ? { undoProgram: FIRST_THREAD_PROGRAM + threadPrograms.length } : {}),
      messages,
      stackTop: memory.stackTop,
    },
  );
}

/** @throws UnsupportedError if there is none */
function roomFor(size: bigint, process: Process, thaw: Range): bigint {
  const room = findPlace(merge([...process.regions, thaw]), size);
  if (room !== null) return room;
  throw new UnsupportedError([
    `process ${process.pid} leaves no free range of ${size} bytes in its address space`,
  ]);
}

/** PR_SET_MDWE: memory that was not executable never becomes so. */
function forbidsNewCode(process: Process): boolean {
  return process.settings.some(({ option }) => option === PR_SET_MDWE);
}

const FIRST_THREAD_PROGRAM = 4;

function convert(plan: bigint): Op {
  return {
    op: 'builtin',
    name: 'convert_xstate',
    args: [plan],
    label: 'cannot bring the vector registers into the form of this processor',
  };
}

/** Refuses a processor without the registers that the process is using. */
function planProcessor(snapshot: Snapshot): Op[] {
  const { required } = snapshot.processor;
  return FEATURES.filter(([bits]) => (required & bits) !== 0n).map(([bits, name]) => {
    const need = required & bits;
    return {
      op: 'builtin',
      name: 'xcr0',
      args: [need],
      check: { kind: 'equal', expected: need },
      label: `this processor lacks ${name}`,
      reason:
        'the frozen process uses it: start it so that it does not (GLIBC_TUNABLES), or thaw it on a processor that has it',
      text: `xgetbv(0) & 0x${need.toString(16)}`,
    };
  });
}

/** Clock and ids: from here on the process is the one that was frozen. */
function becomeItself(snapshot: Snapshot, process: Process, pid: Cell, refusal: Cell): Op[] {
  const { monotonic, boottime } = snapshot.taken;
  return [
    {
      op: 'builtin',
      name: 'time_namespace',
      args: [monotonic, boottime],
      unless: Flag.CHECK,
      text: `settime(CLOCK_MONOTONIC >= ${monotonic}ns)`,
    },
    {
      op: 'builtin',
      name: 'become',
      args: [process.pid, refusal.cell],
      unless: Flag.CHECK,
      label: `cannot take process id ${process.pid}`,
      text: `clone3({set_tid=[${process.pid}]})`,
    },
    call('getpid', [], { result: pid }),
  ];
}

/** A file for shared mappings, which must still be as large as they are. */
function openMappedFile(arena: Arena, file: MappedFile, fd: Cell): Op[] {
  const label = `cannot map ${file.path} again`;
  const path = quoted(file.path);
  // Where another process has a lease on it, it would wait for that to give way.
  const flags = (file.writable ? O.RDWR : O.RDONLY) | O.CLOEXEC | O.NOCTTY | O.NONBLOCK;
  return [
    call('openat', [AT_FDCWD, arena.string(file.path), flags, 0], {
      result: fd,
      label,
      text: `openat(AT_FDCWD, ${path}, ${file.writable ? 'O_RDWR' : 'O_RDONLY'}|O_NONBLOCK|O_CLOEXEC)`,
    }),
    call('lseek', [fd, 0, SEEK_END], {
      label,
      check: { kind: 'atleast', expected: file.size },
      reason: `the file is shorter than the ${file.size} bytes that were mapped`,
    }),
  ];
}

/**
 * Empties a part of the address space, below or above our own segments, but for what stays as the loader
 * mapped it. The kernel's new stack lies above: the supervisor keeps it, for its command line.
 */
function planSpace(
  part: Range,
  segments: readonly { readonly span: Range; readonly region: Region }[],
  regions: readonly PlacedRegion[],
): Op[] {
  const inPlace = new Set(regions.filter(({ loaded }) => loaded !== null).map(({ region }) => region));
  const stay = segments.filter(({ region }) => inPlace.has(region));
  const images = stay.filter(({ region }) => region.backing.kind === 'image').map(({ span }) => span);
  const free = (kept: readonly Range[]): Range[] => gaps(merge(kept), part.start, part.end);
  return [
    ...planGaps(free(stay.map(({ span }) => span)), Flag.LAZY, 0),
    ...planGaps(free(images), 0, Flag.LAZY),
  ];
}
