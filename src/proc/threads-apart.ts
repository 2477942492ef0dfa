/**
 * Threads that have for themselves what all threads of a process share, where threads are made as by
 * pthread_create(3), or that are scheduled in a way that an image cannot bring back. Reads without a stop.
 */
import { readdirSync } from 'node:fs';
import { Kcmp, kcmp, schedGetscheduler } from '../native/syscalls.js';
import { procError, readProcText } from './read.js';
import { parseStatus } from './status.js';

const SCHED_RESET_ON_FORK = 0x4000_0000;
const SCHED_DEADLINE = 6;
/** `linux/sched.h`; of programs only PR_SET_IO_FLUSHER sets it. */
const PF_LOCAL_THROTTLE = 0x0010_0000;
const CREDENTIALS = ['Uid', 'Gid', 'Groups', 'CapPrm', 'CapEff', 'CapInh', 'NoNewPrivs'];

/** A line for each peculiarity of each thread. Threads that end meanwhile, and kernels without kcmp, give none. */
export function surveyThreads(pid: number): string[] {
  const leader = credentialsOf(pid, pid);
  return tidsOf(pid).flatMap((tid) => {
    const problems: string[] = [];
    if (tid !== pid && tells(() => credentialsOf(pid, tid) !== leader)) {
      problems.push(`thread ${tid} has user ids or capabilities of its own, which is not carried yet`);
    }
    if (tid !== pid && tells(() => kcmp(pid, tid, Kcmp.FS) !== 0)) {
      problems.push(
        `thread ${tid} has a working directory and umask of its own (CLONE_FS), which is not carried yet`,
      );
    }
    if (tells(() => (schedGetscheduler(tid) & ~SCHED_RESET_ON_FORK) === SCHED_DEADLINE)) {
      problems.push(
        `thread ${tid} is scheduled by deadlines (SCHED_DEADLINE), which is not carried yet: give it another policy (chrt -o -p 0 ${tid})`,
      );
    }
    if (tells(() => isFlusher(readProcText(pid, `task/${tid}/stat`)))) {
      problems.push(
        `thread ${tid} writes other programs' data to their disks (PR_SET_IO_FLUSHER), which is not carried yet`,
      );
    }
    return problems;
  });
}

/** By the flags in `/proc/PID/stat`, field 9. @internal exported for tests */
export function isFlusher(stat: string): boolean {
  const [, , , , , , flags] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(flags) & PF_LOCAL_THROTTLE) !== 0;
}

/** Set for one thread by hand with raw system calls, by next to nobody. */
function credentialsOf(pid: number, tid: number): string {
  const status = parseStatus(readProcText(pid, `task/${tid}/status`));
  return CREDENTIALS.map((name) => status.get(name)).join(';');
}

/** Whether it is so; not if nobody can tell. */
function tells(question: () => boolean): boolean {
  try {
    return question();
  } catch {
    return false;
  }
}

/** Ids of a process's threads. */
export function tidsOf(pid: number): number[] {
  const folder = `/proc/${pid}/task`;
  try {
    return readdirSync(folder).map(Number);
  } catch (error) {
    throw procError(pid, folder, error);
  }
}
