/**
 * Other processes that share with one what only its threads should (clone(2) without CLONE_THREAD, vfork(2)).
 * Reads without a stop.
 */
import { Kcmp, kcmp, sleepSync } from '../native/syscalls.js';
import { nameOf } from './descriptors/threads.js';
import { processIds } from './read.js';

const SHARED: readonly (readonly [type: number, what: string])[] = [
  [Kcmp.VM, 'its memory'],
  [Kcmp.FILES, 'its descriptor table'],
  [Kcmp.FS, 'its working directory and umask'],
];

/** A process that is being started (vfork(2), posix_spawn(3)) shares memory with its parent for so long at most. */
const PATIENCE_MS = 500;
const PAUSE_MS = 5;

/**
 * A line for each process that shares something with `pid`, once those that are being started have had time for it.
 * Those that may not be asked about give none.
 * @param pause waits a moment
 */
export function surveySharers(pid: number, pause = () => sleepSync(PAUSE_MS)): string[] {
  for (let waited = 0; ; waited += PAUSE_MS) {
    const sharers = sharersNow(pid);
    if (sharers.length === 0 || waited >= PATIENCE_MS) return sharers;
    pause();
  }
}

function sharersNow(pid: number): string[] {
  return processIds()
    .filter((other) => other !== pid)
    .flatMap((other) => {
      const what = SHARED.filter(([type]) => isShared(pid, other, type)).map(([, what]) => what);
      if (what.length === 0) return [];
      return [
        `process ${pid} shares ${what.join(', ')} with process ${nameOf(other)}, which cannot be carried`,
      ];
    });
}

function isShared(pid: number, other: number, type: number): boolean {
  try {
    return kcmp(pid, other, type) === 0;
  } catch {
    return false; // ended, another user's, or no kcmp here
  }
}
