/**
 * The native addon: raw verbs without policy. Everything above it is TypeScript.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../package-root.js';

/** An argument of a raw system call: a number, or memory that the kernel reads or writes. */
export type SyscallArgument = number | bigint | Uint8Array;

/** What a copy did: counts of bytes, and the runs that could not be read. */
export interface CopyResult {
  /** Bytes written; in a stream these include the zeros. */
  readonly written: number;
  /** Bytes of the runs that lie in pages of zeros, which became holes (or, in a stream, zeros). */
  readonly zero: number;
  /** Runs `[source offset, size]` that could not be read (EIO, EFAULT) and became zeros. */
  readonly unreadable: readonly (readonly [bigint, number])[];
}

/** What is under way in a pseudoterminal. */
export interface PtyQueues {
  /**
   * 0, or why it was left alone: 1 a status of packet mode was not read, 2 its output is stopped or has no room,
   * 3 its input is full.
   */
  readonly obstacle: number;
  /** The slave side is exclusive (TIOCEXCL). */
  readonly exclusive: boolean;
  /** What brings the input back if it is typed in the modes that were given. */
  readonly typed: Uint8Array;
  /** What the master can read. */
  readonly output: Uint8Array;
}

/** The functions that Node.js lacks, in C++: system calls, copying of memory, facts of the processor. */
export interface Addon {
  /** The interpreter blob, built from `native/interpreter`. */
  interpreter(): Uint8Array;
  /**
   * Any system call, up to six arguments. Returns its result.
   * @throws Error with `code` ('ENOENT'), `errno` (positive number) and `syscall` (the number).
   */
  syscall(number: number, ...args: SyscallArgument[]): bigint;
  /**
   * The address of an array's memory, for structures that hold pointers. Good for as long as the
   * array is referenced.
   */
  address(memory: Uint8Array | BigUint64Array): bigint;
  /**
   * Copies runs of bytes between files on a worker thread. `runs` holds triples: source offset,
   * size, destination offset. With `sparse`, pages of zeros are not written. Without it (`to` is
   * a pipe) runs must ascend in destination, gaps between them are filled with zeros, starting at
   * destination offset `position`. `progress[0]` counts the bytes looked at while it runs; to set
   * `progress[1]` stops it. `pid`: the process, held still, whose memory `from` is; 0 for a file.
   * @throws (rejects) Error with `code`: what read or write failed with; ESRCH where `from` is
   * /proc/PID/mem and the process is gone, ENODATA where a file ends within a run, EINVAL where runs of a
   * stream do not ascend, ECANCELED where it was stopped.
   */
  copy(
    from: number,
    to: number,
    runs: BigUint64Array,
    sparse: boolean,
    position: bigint,
    progress: BigUint64Array,
    pid: number,
  ): Promise<CopyResult>;
  /**
   * Makes system calls, one after the other, in a process of its own that shares our memory and descriptors and goes
   * on if we are killed: for what must be set back. `calls` holds seven words for each: number and six arguments; the
   * result, or a negative errno, takes the place of the number. `memory`: what the calls refer to by address and nobody
   * looks at afterwards, which would be collected before they are made.
   */
  outlive(calls: BigInt64Array, ...memory: (Uint8Array | BigUint64Array)[]): void;
  /** Gives memory that was freed back to the kernel: malloc_trim(3). Like the next nothing where the C library has none. */
  returnFreed(): void;
  /**
   * From now on whatever is large is mapped by itself, and given back as soon as it is freed: M_MMAP_THRESHOLD of
   * mallopt(3). It holds for the whole process, and is thus for a program alone.
   */
  mapLargeBlocks(): void;
  /** CPUID leaf and subleaf: eax, ebx, ecx, edx. */
  cpuid(leaf: number, subleaf: number): [number, number, number, number];
  /** XCR0. */
  xcr0(): bigint;
  /** Starts the tracer program in a session of its own; returns the descriptor of its socket and its pid. */
  spawnTracer(path: string): { socket: number; pid: number };
  /**
   * Takes what is under way in a pseudoterminal and puts it back, in a process that goes on even if this one is
   * killed. Nobody else may use the terminal meanwhile. `typing`: `struct termios2` with lines (ICANON, IEXTEN, IXON)
   * and the keys VEOF, VLNEXT, VSTART and VSTOP, and nothing else that changes what is typed or written.
   * @throws Error with `code`: EBUSY where it is exclusive (TIOCEXCL), and we lack CAP_SYS_ADMIN
   */
  pty(master: number, packets: boolean, locked: boolean, typing: Uint8Array): PtyQueues;
  /** waitpid(pid) for a tracer that was asked to end. */
  reap(pid: number): number;
}

const builtPath = (name: string): string => fileURLToPath(new URL(`build/Release/${name}`, packageRoot));

/** The addon as node-gyp built it. */
export const addon: Addon = createRequire(import.meta.url)(builtPath('proc2elf.node'));

/** Path of the tracer program that node-gyp built beside the addon. */
export const tracerPath: string = builtPath('proc2elf-tracer');
