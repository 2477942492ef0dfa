/** Freezing a process into an image: the whole of it, from the pid to a file safely on disk. */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PermissionError, TargetError, UnsupportedError, UsageError } from './errors.js';
import { relieveHeap } from './heap.js';
import type { ImageCopy } from './image/layout.js';
import { prepareOutput } from './image/output.js';
import { writeCopiesFirst } from './image/write.js';
import { openKernel } from './kernel/open.js';
import { addon } from './native/addon.js';
import { startTracer, type Tracer, TracerError } from './native/tracer.js';
import { stoppedAdvice } from './nftables.js';
import { type Capture, captureProcess } from './proc/capture.js';
import { type DescriptorChoices, NO_CHOICES } from './proc/descriptors/choices.js';
import { keepProblem, removeHold } from './proc/descriptors/tcp-hold.js';
import { type FileChoices, NO_FILE_CHOICES } from './proc/file-choices.js';
import { whenSettled } from './proc/hold.js';
import { commOf } from './proc/identity.js';
import { parseMaps } from './proc/maps.js';
import { mappingPolicies, memoryPolicyWarnings } from './proc/memory-policy.js';
import { namespaceWarnings } from './proc/namespaces.js';
import { assertUnchanged } from './proc/objects.js';
import { assertFreezable, permissionAdvice, surveyProcess } from './proc/preflight.js';
import { readProcLines, readProcText } from './proc/read.js';
import { blankRseq } from './proc/rseq.js';
import { surveySharedOutside } from './proc/shared-outside.js';
import { surveySharedSockets } from './proc/shared-sockets.js';
import { surveySharers } from './proc/sharers.js';
import { confirmSleeps, observeSleeps, untilDeadline } from './proc/sleep.js';
import type { Region } from './snapshot/schema.js';
import { type Blob, makeBlob } from './thaw/blob.js';
import { placeContents } from './thaw/contents.js';
import { VERSION } from './version.js';

/** How to freeze. */
export interface FreezeOptions {
  /** File to make or replace, `-` for stdout; by default `<comm>.<pid>.bin` in the current folder. */
  readonly output?: string;
  /** What becomes of the process afterwards: it runs on, is left stopped, or is ended once the image is on disk. */
  readonly after?: 'run' | 'stop' | 'kill';
  /** Waits until the image is safely on disk, as is always done unless the process runs on. */
  readonly sync?: boolean;
  /** The image thaws lazily unless told otherwise. */
  readonly lazy?: boolean;
  /** Writable shared file mappings travel in the image instead of being opened again. */
  readonly embedShared?: boolean;
  /** Child processes are left out. */
  readonly dropChildren?: boolean;
  /** Working directory in the image, instead of the process's own. */
  readonly workingDirectory?: string | undefined;
  /** What to do with descriptors by number. */
  readonly descriptors?: DescriptorChoices;
  /** What to do with regular files by path. */
  readonly files?: FileChoices;
  /** Called a few times a second with bytes looked at, and bytes in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the freeze until the image has its name; the reason is thrown. */
  readonly signal?: AbortSignal;
}

/** What was done. Times in milliseconds, sizes in bytes. */
export interface FreezeReport {
  readonly pid: number;
  readonly output: string;
  /** Size of the image, holes included. */
  readonly bytes: number;
  /** What it takes on disk; 0 for a stream. */
  readonly bytesOnDisk: number;
  readonly regions: number;
  readonly threads: number;
  /** Pages of 4096 bytes that were copied, zeros not counted. */
  readonly pagesCopied: number;
  /**
   * How long the process did not run, for the capture that became the image. Attempts before that, after which it was
   * let go to take what waited for it, are not in it.
   */
  readonly heldMs: number;
  readonly totalMs: number;
  readonly warnings: readonly string[];
}

/**
 * Freezes a process.
 * @param pid a process of this machine
 * @throws TargetError, PermissionError, UnsupportedError, UsageError: see errors.ts; or the reason of
 *   `signal`. In each case the process runs on as it was, and no image is left behind.
 */
export async function freeze(pid: number, options: FreezeOptions = {}): Promise<FreezeReport> {
  try {
    return await freezeProcess(pid, options);
  } catch (error) {
    throw translate(pid, error);
  }
}

async function freezeProcess(pid: number, options: FreezeOptions): Promise<FreezeReport> {
  const started = performance.now();
  const { signal } = options;
  if (options.descriptors?.tcp === 'keep') assertCanKeep(options.after);
  assertFreezable(pid);
  const concessions = {
    dropChildren: options.dropChildren ?? false,
    workingDirectory: options.workingDirectory,
  };
  const sharing = {
    dropChildren: concessions.dropChildren,
    embedShared: options.embedShared ?? false,
    descriptors: options.descriptors ?? NO_CHOICES,
  };
  const sharers = [...surveyProcess(pid, concessions), ...surveySharers(pid)];
  const shared = surveySharedOutside(pid, sharing);
  const early = [...sharers, ...shared.problems, ...surveySharedSockets(pid, sharing.descriptors)];
  if (early.length > 0) throw new UnsupportedError(early);
  const surroundings = [...namespaceWarnings(pid), ...shared.warnings];
  const policies = mappingPolicies(pid);
  const path = options.output ?? `${fileName(commOf(pid))}.${pid}.bin`;
  const output = await prepareOutput(path, {
    needed: estimateSize(pid),
    lasting: options.after === 'kill',
    durable: options.sync === true || (options.after ?? 'run') !== 'run',
  });
  try {
    if (output.stream) await loadDescribe(); // it begins with what follows the contents in a file
    signal?.throwIfAborted();
    relieveHeap(); // the survey of many mappings leaves much behind
    openKernel(); // takes a tenth of a second: the process is not held yet
    const tracer = startTracer();
    const blob = makeBlob(addon.interpreter());
    try {
      const { held, tids, capture } = await whenSettled(tracer, pid, (patient) => {
        // Right before the stop: what a thread does in between makes its hint useless.
        const seen = observeSleeps(pid, threadIds(pid));
        const held = performance.now();
        const tids = tracer.seize(pid);
        const hints = confirmSleeps(pid, seen);
        const capture = captureProcess(pid, tids, tracer, blob, hints, {
          ...concessions,
          embedShared: options.embedShared ?? false,
          descriptors: options.descriptors ?? NO_CHOICES,
          files: options.files ?? NO_FILE_CHOICES,
          lazy: options.lazy ?? false,
          tool: `proc2elf ${VERSION}`,
          patient,
        });
        return { held, tids, capture };
      });
      let committed = false;
      try {
        keepDeadlines(tracer, capture); // in case that we do not live to say it again
        const { copies, end } = placeCopies(capture, blob);
        // Planning takes no part of the process, which may run on meanwhile.
        const plan = async () => (await loadDescribe()).describeImage(capture.snapshot, blob, copies);
        const beside = sizeOf(copies) >= LONG_COPY ? plan() : undefined;
        beside?.catch(() => {}); // told below
        const assemble = () => beside ?? plan();
        const after = options.after ?? 'run';
        let heldMs = 0;
        const release = (): void => {
          try {
            keepDeadlines(tracer, capture);
            tracer.release(after);
          } catch (error) {
            throw translate(pid, error);
          } finally {
            heldMs = millisecondsSince(held);
          }
        };
        const written = await writeCopiesFirst(output, { copies, end }, assemble, {
          onProgress: options.onProgress,
          signal,
          memory: { pid, fd: capture.mem },
          // A process that runs on need not wait for the disk; one that is ended must.
          onCopied: after === 'run' ? release : undefined,
        });
        assertUnchanged(capture.objectSources);
        if (after !== 'run') assertHeld(tracer, tids[0]!);
        const unreadable = unreadableWarnings(capture.snapshot.processes[0]!.regions, written.unreadable);
        const bytesOnDisk = await output.commit(signal);
        committed = true;
        // If the tracer was killed behind its SIGKILL, there is nobody left but the image.
        if (after === 'kill') await unlessEnded(pid, release);
        else if (after === 'stop') release();
        return {
          pid,
          output: path,
          bytes: written.bytes,
          bytesOnDisk,
          regions: capture.snapshot.processes[0]!.regions.length,
          threads: tids.length,
          pagesCopied: Math.ceil(written.written / 4096),
          heldMs,
          totalMs: millisecondsSince(started),
          warnings: [
            ...surroundings,
            ...memoryPolicyWarnings([...policies, ...capture.memoryPolicies]),
            ...capture.warnings,
            ...unreadable,
            ...stoppedWarnings(pid, capture, after),
          ],
        };
      } catch (error) {
        // The tracer sees to it, unless it is the one that was killed.
        const { hold } = capture.snapshot.processes[0]!.descriptors;
        if (hold !== null) {
          removeHold(hold);
          // Its connections go on in the process, and it could never be thawed.
          if (committed && !output.stream) rmSync(path, { force: true });
        }
        throw error;
      } finally {
        capture.close();
      }
    } finally {
      tracer.close();
    }
  } finally {
    await output.discard();
  }
}

/** Milliseconds that a process which was sent SIGKILL is given to end. */
const PATIENCE = 1000;

/** Lets go of a process; if that fails though the process has been ended, all is well. @throws whatever `release` throws */
async function unlessEnded(pid: number, release: () => void): Promise<void> {
  try {
    release();
  } catch (error) {
    for (let waited = 0; !hasEnded(pid); waited += 10) {
      if (waited >= PATIENCE) throw error;
      await sleep(10);
    }
  }
}

/** Whether there is nothing left of a process but what its parent has to collect. */
function hasEnded(pid: number): boolean {
  try {
    return /^State:\s[ZX]/m.test(readProcText(pid, 'status'));
  } catch {
    return true;
  }
}

/**
 * Connections can be in one place only: they go on in the image, and the process must not.
 * @throws UsageError, PermissionError
 */
function assertCanKeep(after: FreezeOptions['after']): void {
  if (after !== 'kill' && after !== 'stop') {
    throw new UsageError(
      '--tcp keep needs --kill or --stop: a connection cannot go on in the process and in its image',
    );
  }
  const problem = keepProblem();
  if (problem !== null) throw new PermissionError(problem);
}

/** Loaded before a stream, which begins with what it makes; otherwise after the contents are copied, or beside. */
const loadDescribe = () => import('./describe.js');

/** Bytes that take so much longer to copy than planning takes that this hardly prolongs the hold. */
const LONG_COPY = 256 << 20;

function sizeOf(copies: readonly ImageCopy[]): number {
  return copies.reduce((sum, { size }) => sum + size, 0);
}

/** A process whose tracer was killed has run on while its memory was copied. @throws TracerError */
function assertHeld(tracer: Tracer, leader: number): void {
  try {
    tracer.sharedPending(leader);
  } catch (error) {
    // If the process was killed: what was copied is what it was.
    if (error instanceof TracerError && error.code === 'EPIPE') throw error;
  }
}

/** Waits of the process end when they would have ended without us. */
function keepDeadlines(tracer: Tracer, { deadlines }: Capture): void {
  for (const deadline of deadlines) tracer.setTimeout(deadline.tid, untilDeadline(deadline));
}

/** Bytes that an image will take at most, but for what changes meanwhile: pages in use, and private file mappings. */
function estimateSize(pid: number): number {
  let sum = 0;
  for (const { start, end, shared, inode, resident } of parseMaps(readProcLines(pid, 'smaps'))) {
    const whole = !shared && inode !== 0n;
    sum += whole ? Number(end - start) : resident;
  }
  return sum;
}

function threadIds(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    throw new TargetError(`process ${pid} has ended`);
  }
}

/** What the tracer could not do, for people. Other errors come back as they are. */
function translate(pid: number, error: unknown): unknown {
  if (!(error instanceof TracerError)) return error;
  const cause = { cause: error };
  switch (error.code) {
    case 'ESRCH':
      return new TargetError(`process ${pid} has ended`, cause);
    case 'ETIMEDOUT':
      return new TargetError(
        `process ${pid} does not stop: a thread of it waits in the kernel (vfork, a file server that does not answer)`,
        cause,
      );
    case 'EPERM':
    case 'EACCES':
      return new PermissionError(
        `cannot trace process ${pid}: ${error.code} (${permissionAdvice(ownerOf(pid))})`,
        cause,
      );
    case 'EPIPE':
      return new TargetError(`the tracer ended unexpectedly; process ${pid} is let go`, cause);
    default:
      return new TargetError(`cannot hold process ${pid}: ${error.message}`, cause);
  }
}

function ownerOf(pid: number): number {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return -1;
  }
}

/** A process that is left stopped has its connections still. */
function stoppedWarnings(pid: number, { snapshot }: Capture, after: FreezeOptions['after']): string[] {
  const { hold } = snapshot.processes[0]!.descriptors;
  if (hold === null || after !== 'stop') return [];
  return [`process ${pid} still has its TCP connections: ${stoppedAdvice(pid, hold)}`];
}

/** What is to be copied from the process, to which places of the image, and the end of the last. */
function placeCopies(capture: Capture, blob: Blob): { copies: ImageCopy[]; end: number } {
  const { snapshot, end } = placeContents(capture.snapshot, blob);
  const [process] = snapshot.processes;
  const copies: ImageCopy[] = [];
  for (const { extents } of process!.regions) {
    for (const { start, size, offset } of extents)
      copies.push({ fd: capture.mem, source: start, size, offset });
  }
  const ofMemory = blankRseq(copies, process!.threads, capture.zeros);
  process!.objects.forEach(({ extents }, i) => {
    const { fd, base } = capture.objectSources[i]!;
    for (const { start, size, offset } of extents) ofMemory.push({ fd, source: base + start, size, offset });
  });
  return { copies: ofMemory, end };
}

/** To the microsecond: more would not be true. */
function millisecondsSince(start: number): number {
  return Number((performance.now() - start).toFixed(3));
}

/** A command's name as part of a file name. */
function fileName(comm: string): string {
  return comm.replace(/[^\w.+-]/g, '_') || 'process';
}

function unreadableWarnings(
  regions: readonly Region[],
  runs: readonly (readonly [bigint, number])[],
): string[] {
  const unknown = runs.filter(([address, size]) => !isGuard(regions, address, size));
  const lost = unknown.filter(([address]) => regionAt(regions, address)?.backing.kind === 'anonymous');
  if (lost.length > 0) {
    throw new UnsupportedError(
      lost.map(([address, size]) => `${size} bytes of memory at 0x${address.toString(16)} cannot be read`),
    );
  }
  // Where nothing may be accessed, as in the gaps between the parts of a shared library, nobody will notice.
  return unknown
    .filter(([address]) => regionAt(regions, address)?.prot !== 0)
    .map(
      ([address, size]) =>
        `${size} bytes at 0x${address.toString(16)} could not be read (behind the end of a mapped file): they are zeros in the image`,
    );
}

function regionAt(regions: readonly Region[], address: bigint): Region | undefined {
  return regions.find(({ start, end }) => start <= address && address < end);
}

function isGuard(regions: readonly Region[], address: bigint, size: number): boolean {
  const end = address + BigInt(size);
  return regionAt(regions, address)?.guards.some((g) => g.start <= address && g.end >= end) ?? false;
}
