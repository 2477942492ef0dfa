/** Threads as descriptors mean them, and those that do not share the descriptor table of their process. */
import { existsSync } from 'node:fs';
import { Kcmp, kcmp } from '../../native/syscalls.js';
import { commOf } from '../identity.js';
import { readProcText } from '../read.js';
import { numbers, parseStatus } from '../status.js';
import { tidsOf } from '../threads-apart.js';

/**
 * A line for each thread with a table of its own (clone(2) without CLONE_FILES, unshare(2)). Threads that end meanwhile, and
 * kernels without kcmp, give none.
 */
export function privateTables(pid: number): string[] {
  return tidsOf(pid)
    .filter((tid) => tid !== pid && isPrivate(pid, tid))
    .map((tid) => `thread ${tid} has a descriptor table of its own, which cannot be carried`);
}

function isPrivate(pid: number, tid: number): boolean {
  try {
    return kcmp(pid, tid, Kcmp.FILES) !== 0;
  } catch {
    return false;
  }
}

/**
 * The id of a thread in the innermost namespace of process ids, which is the one that it knows; `null` if it is
 * none of the process.
 */
export function ownTid(pid: number, tid: number): number | null {
  if (!existsSync(`/proc/${pid}/task/${tid}`)) return null;
  const status = parseStatus(readProcText(pid, `task/${tid}/status`));
  return status.has('NSpid') ? numbers(status, 'NSpid').at(-1)! : tid;
}

/** `4242 (name)`, or the number alone if it has ended. */
export function nameOf(pid: number): string {
  try {
    return `${pid} (${commOf(pid)})`;
  } catch {
    return String(pid);
  }
}
