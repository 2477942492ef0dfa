/**
 * The model of a frozen process tree: plain values, no I/O. The schemas check what is read from an
 * image (which is not trusted), the types are what the rest of the code works with.
 * Addresses, offsets in address spaces, inode numbers and nanoseconds are `bigint`; sizes that fit
 * are `number`, in bytes.
 */
import * as z from 'zod';
import { aioContextSchema } from './aio-context.js';
import { descriptorTableSchema } from './descriptors.js';
import { word as address, bytes, int } from './fields.js';

/** Nanoseconds of a file's time, which may lie before 1970. */
const time = z.bigint().min(-0x8000_0000_0000_0000n).max(0x7fff_ffff_ffff_ffffn);
const id = z.int().min(0).max(0x7fff_ffff);

/** Page sizes of x86-64, in bytes: above 4096 those of hugetlbfs. */
const pageSize = z.union([z.literal(4096), z.literal(2 << 20), z.literal(1 << 30)]);

/** A run of populated bytes of a region: where in memory, and where its content lies in the image. */
export const extentSchema = z.object({
  start: address,
  size: z.int().min(0),
  /** Offset in the image file; 0 until the layout is made. */
  offset: z.int().min(0),
});

/**
 * What a region is backed by when it is made again.
 * - `anonymous`: private anonymous memory
 * - `image`: private mapping of bytes in the image (was a private file mapping)
 * - `image-shared`: read-only shared mapping of bytes in the image
 * - `file`: shared mapping of a file that is opened again by path (index into `mappedFiles`)
 * - `object`: mapping of a memory object (index into `objects`), at `offset`
 * - `ring`: the ring of a packet socket, which knows where it is mapped
 * - `aio`: the ring of a context of io_setup(2), or a part of it
 * - `uring`: the rings of an io_uring, or the entries submitted to it, which knows where they are mapped
 * - `vdso`, `vvar`: the kernel's own
 */
export const backingSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('anonymous') }),
  z.object({ kind: z.literal('image') }),
  z.object({ kind: z.literal('image-shared') }),
  z.object({ kind: z.literal('file'), file: int.min(0) }),
  z.object({ kind: z.literal('object'), object: int.min(0) }),
  z.object({ kind: z.literal('ring') }),
  z.object({ kind: z.literal('aio') }),
  z.object({ kind: z.literal('uring') }),
  /** `image`: the bytes of the mapping. */
  z.object({ kind: z.literal('vdso'), image: bytes }),
  z.object({ kind: z.literal('vvar') }),
]);

/** A mapping of the address space, as `/proc/PID/smaps` lists it. */
export const regionSchema = z.object({
  start: address,
  end: address,
  /** PROT_READ 1 | PROT_WRITE 2 | PROT_EXEC 4. */
  prot: z.int().min(0).max(7),
  shared: z.boolean(),
  /** Offset in the mapped file or object. */
  offset: address,
  device: z.string(),
  inode: address,
  /** As in `/proc/PID/maps`: a path, `[heap]`, `[stack]`, or empty. */
  path: z.string(),
  /** Two-letter codes of `VmFlags` in `/proc/PID/smaps`. */
  flags: z.array(z.string().length(2)),
  /** Page size in bytes; above 4096 for hugetlb. */
  pageSize,
  backing: backingSchema,
  /** Populated runs, ascending. Empty for what has no content in the image. */
  extents: z.array(extentSchema),
  /** Pages that MADV_GUARD_INSTALL has made inaccessible, ascending. */
  guards: z.array(z.object({ start: address, end: address })).default([]),
});

/** Memory that is not one region's own: shared anonymous, memfd, deleted files. */
export const objectSchema = z.object({
  kind: z.enum(['shared-anonymous', 'memfd', 'deleted-file', 'embedded-file']),
  /** memfd name, or the path the file had. */
  name: z.string(),
  device: z.string(),
  inode: address,
  size: z.int().min(0),
  /** Permission bits, 0o7777. */
  mode: int,
  /** `F_GET_SEALS`. */
  seals: int,
  /** To whom it belongs, and when it was read and written, ns; left out where no descriptor told. */
  owner: z.object({ uid: id, gid: id }).optional(),
  times: z.object({ accessed: time, modified: time }).optional(),
  pageSize: pageSize.default(4096),
  /** Runs of content; `start` is the offset in the object. */
  extents: z.array(extentSchema),
  /** Runs of pages that have no content but are set aside (fallocate), ascending; behind the end of the object, too. */
  reserved: z.array(z.object({ start: address, size: z.int().min(1) })).optional(),
});

/** A file that shared mappings need again. */
export const mappedFileSchema = z.object({
  path: z.string(),
  writable: z.boolean(),
  /** Least size in bytes that the mappings need. */
  size: z.int().min(0),
});

/** `struct siginfo`, 128 bytes. */
const siginfo = bytes.refine((b) => b.length === 128, 'a siginfo has 128 bytes');

/** What prctl(2) sets: option, which of several things it is about, and value. See prctl-settings.ts. */
const settingsSchema = z.array(z.object({ option: int, which: int.optional(), value: int })).default([]);

/** A thread: its registers, and what the kernel keeps for it. */
export const threadSchema = z.object({
  tid: id,
  comm: z.string(),
  /** `struct user_regs_struct` (27 words), as it must be when the thread goes on. */
  registers: bytes.refine((b) => b.length === 216, 'user_regs_struct has 216 bytes'),
  /** XSAVE area in standard form, as PTRACE_GETREGSET NT_X86_XSTATE gives it. */
  xstate: bytes,
  signalMask: address,
  /** `stack_t`: flags without SS_ONSTACK. */
  alternateStack: z.object({ address, flags: int, size: address }),
  pendingSignals: z.array(siginfo),
  robustList: z.object({ head: address, length: int }),
  rseq: z.object({ address, length: int, signature: int }).nullable(),
  /** `clear_child_tid`: address, 0 for none. */
  tidAddress: address,
  /** CPUs of the affinity mask, as bytes; empty if it was all CPUs of the host. */
  affinity: bytes,
  nice: int,
  policy: int,
  /** 1..99 for SCHED_FIFO and SCHED_RR. */
  priority: int,
  /** ioprio_get(2); 0 if it follows from the nice value. */
  ioPriority: int.default(0),
  settings: settingsSchema,
  parentDeathSignal: int,
  timerSlack: address,
  /** The thread was frozen in a system call, which it makes again. */
  inCall: z.boolean(),
  /** What a handler that runs at once makes of that call: EINTR, or only without SA_RESTART. */
  interruption: z.enum(['always', 'unless-restart']).nullable().default(null),
  /** That call, for a timeout that must go on for the time left. */
  sleep: z
    .object({
      number: int,
      /** Nanoseconds that were left. */
      remaining: address,
    })
    .nullable(),
});

/** The `struct sigaction` of a signal, as the kernel has it. */
export const signalActionSchema = z.object({
  handler: address,
  flags: address,
  restorer: address,
  mask: address,
});

/** A timer made by timer_create(2); times in nanoseconds. */
export const posixTimerSchema = z.object({
  id: int,
  clock: int,
  /** `sigev_notify`. */
  notify: int,
  signal: int,
  value: address,
  /** For SIGEV_THREAD_ID. */
  tid: int,
  remaining: address,
  interval: address,
});

/** credentials(7) and capabilities(7) of the process. */
export const credentialsSchema = z.object({
  /** real, effective, saved, file system. */
  uids: z.array(id).length(4),
  gids: z.array(id).length(4),
  groups: z.array(id),
  capabilities: z.object({
    inheritable: address,
    permitted: address,
    effective: address,
    bounding: address,
    ambient: address,
  }),
  secureBits: int,
  noNewPrivileges: z.boolean(),
});

/** A process with all that is made again: memory, threads, signals, timers, descriptors. */
export const processSchema = z.object({
  pid: id,
  parent: id,
  group: id,
  session: id,
  comm: z.string(),
  executable: z.string(),
  commandLine: z.array(z.string()),
  workingDirectory: z.string(),
  /** It was deleted: index into the `folders` of the descriptor table. */
  workingFolder: z.int().min(0).optional(),
  root: z.string(),
  umask: int,
  personality: int,
  dumpable: int,
  childSubreaper: z.boolean(),
  oomScoreAdjust: int,
  thpDisabled: z.boolean(),
  settings: settingsSchema,
  /** `MCL_FUTURE` 2 and `MCL_ONFAULT` 4 of mlockall(2): memory that is mapped later is locked. */
  locksFutureMemory: int.default(0),
  /** `/proc/PID/coredump_filter`; `null` where the kernel writes no core files. */
  coredumpFilter: int.min(0).nullable().default(null),
  /** `MEMBARRIER_CMD_REGISTER_*` that the process has made. */
  membarriers: int.min(0),
  /** XCR0 bits that threads may use, by ARCH_GET_XCOMP_PERM; 0 if nobody could tell, as in older images. */
  permittedFeatures: address.default(0n),
  limits: z.array(z.object({ resource: int, soft: address, hard: address })),
  credentials: credentialsSchema,
  memory: z.object({
    startCode: address,
    endCode: address,
    startData: address,
    endData: address,
    startBrk: address,
    brk: address,
    startStack: address,
    argStart: address,
    argEnd: address,
    envStart: address,
    envEnd: address,
    auxv: bytes,
  }),
  regions: z.array(regionSchema),
  objects: z.array(objectSchema),
  aioContexts: z.array(aioContextSchema).default([]),
  mappedFiles: z.array(mappedFileSchema),
  /** The leader first. */
  threads: z.array(threadSchema).min(1),
  /** Signals 1..64. */
  signalActions: z.array(signalActionSchema).length(64),
  pendingSignals: z.array(siginfo),
  /** ITIMER_REAL, VIRTUAL, PROF: nanoseconds. */
  intervalTimers: z.array(z.object({ remaining: address, interval: address })).length(3),
  posixTimers: z.array(posixTimerSchema),
  descriptors: descriptorTableSchema,
});

/** Where the frozen processor keeps its XSAVE components, and what the process needs of it. */
export const processorSchema = z.object({
  vendor: z.string(),
  model: z.string(),
  xcr0: address,
  /** Index is the component's number. */
  components: z.array(z.object({ offset: int, size: int })),
  /** XCR0 bits without which the process cannot go on. */
  required: address,
});

/** A frozen process tree, and where and when it was frozen. */
export const snapshotSchema = z.object({
  version: z.literal(1),
  /** All that differs between two images of the same stopped process. */
  taken: z.object({
    /** CLOCK_REALTIME, MONOTONIC, BOOTTIME at the freeze, ns. */
    realtime: address,
    monotonic: address,
    boottime: address,
  }),
  tool: z.string(),
  host: z.object({ name: z.string(), kernel: z.string(), kernelVersion: z.string(), machine: z.string() }),
  processor: processorSchema,
  /** Default of the image. */
  lazy: z.boolean(),
  /** The root first. */
  processes: z.array(processSchema).min(1),
});

/** See {@link snapshotSchema}. */
export type Snapshot = z.infer<typeof snapshotSchema>;
/** See {@link processSchema}. */
export type Process = z.infer<typeof processSchema>;
/** See {@link threadSchema}. */
export type Thread = z.infer<typeof threadSchema>;
/** See {@link regionSchema}. */
export type Region = z.infer<typeof regionSchema>;
/** See {@link backingSchema}. */
export type Backing = z.infer<typeof backingSchema>;
/** See {@link extentSchema}. */
export type Extent = z.infer<typeof extentSchema>;
/** See {@link objectSchema}. */
export type MemoryObject = z.infer<typeof objectSchema>;
/** See {@link mappedFileSchema}. */
export type MappedFile = z.infer<typeof mappedFileSchema>;
/** See {@link signalActionSchema}. */
export type SignalAction = z.infer<typeof signalActionSchema>;
/** See {@link posixTimerSchema}. */
export type PosixTimer = z.infer<typeof posixTimerSchema>;
/** See {@link credentialsSchema}. */
export type Credentials = z.infer<typeof credentialsSchema>;
/** See {@link processorSchema}. */
export type Processor = z.infer<typeof processorSchema>;
