/** Threads that do not share the descriptor table of their process (clone(2) without CLONE_FILES, unshare(2)). */
import { readdirSync } from 'node:fs';
import { Kcmp, kcmp } from '../../native/syscalls.js';
import { procError } from '../read.js';

/** A line for each such thread. Threads that end meanwhile, and kernels without kcmp, give none. */
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

function tidsOf(pid: number): number[] {
  const folder = `/proc/${pid}/task`;
  try {
    return readdirSync(folder).map(Number);
  } catch (error) {
    throw procError(pid, folder, error);
  }
}
