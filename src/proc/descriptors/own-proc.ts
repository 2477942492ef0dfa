/** Files below `/proc/PID` of the process itself: opened again as those of whatever id it has then. */

import { existsSync } from 'node:fs';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { describedBy } from '../../snapshot/fdinfo-path.js';
import { readProcText } from '../read.js';
import { parseStatus } from '../status.js';
import type { Entry } from './entries.js';
import { watcherOf } from './epoll.js';
import { parseLockLines } from './fdinfo.js';
import type { DescriptorKind } from './kind.js';
import { warnOfNews } from './news.js';
import { isOfProcess, pathFile, regular } from './regular.js';
import type { Target } from './target.js';

/** `/proc/4242/task/4243/stat`: process, or a thread by its own id; thread; and what is below. */
const OWN = /^\/proc\/(\d+)(?:\/task\/(\d+))?((?:\/.*)?)$/;

/** Files that are there only once what they are about is. */
const OF_MEMORY = /\/map_files\/[^/]+$/;
const OF_DESCRIPTOR = /\/fdinfo\/[^/]+$/;

/**
 * The path under which the process itself finds the same file, whatever its id; of a thread's folder, under which
 * that thread finds it. `null` for what belongs to another process.
 */
export function ownPath(link: string, pid: number): string | null {
  const match = OWN.exec(link);
  if (!match) return null;
  const [, process, tid, rest] = match;
  if (Number(process) !== pid)
    return tid === undefined && isThread(process!, pid) ? `/proc/thread-self${rest}` : null;
  if (tid === undefined) return `/proc/self${rest}`;
  return tid === String(pid) || isThread(tid, pid) ? `/proc/thread-self${rest}` : null;
}

function isThread(tid: string, pid: number): boolean {
  return existsSync(`/proc/${pid}/task/${tid}`);
}

/** What is not there when files are opened: another thread, a descriptor. */
function lateness(link: string, pid: number): OpenFileOf<'file'>['late'] | null {
  const [, process, tid] = OWN.exec(link) ?? [];
  if (Number(process) !== pid) return { thread: Number(process), apart: true };
  if (Number(tid ?? pid) !== pid) return { thread: Number(tid) };
  return OF_DESCRIPTOR.test(link) ? { thread: null } : null;
}

/** Why the descriptor that a file tells of is not there when it is opened; `null` if it is. */
function missing(link: string, { pid, entry, choices }: Target): string | null {
  if (!OF_DESCRIPTOR.test(link)) return null;
  const told = describedBy(ownPath(link, pid)!);
  if (told === null) return 'it tells of a descriptor that was closed';
  if (!entry(told)) return `it tells of descriptor ${told}, which is closed`;
  return choices.drop.has(told) ? `it tells of descriptor ${told}, which is dropped` : null;
}

/** Whether `/proc` names the process as we do: in a pid namespace of its own it may have seen another one. */
function isInOurNamespace({ pid }: Target): boolean {
  const ids = parseStatus(readProcText(pid, 'status')).get('NSpid');
  return ids === undefined || ids.trim().split(/\s+/).length === 1;
}

/** Files such as `/proc/self/status`, at the same offset. */
export const ownProc: DescriptorKind = {
  matches: (entry, target) =>
    isOfProcess(entry) &&
    regular.matches(entry, target) &&
    ownPath(entry.link, target.pid) !== null &&
    isInOurNamespace(target),
  describe: (entry: Entry) => regular.describe(entry),
  problem: (entry, target) => {
    const { pid, entries } = target;
    if (OF_MEMORY.test(entry.link)) return 'it tells of memory that is not there yet when files are opened';
    if (lateness(entry.link, pid) === null) return null;
    const gone = missing(entry.link, target);
    if (gone !== null) return gone;
    if (parseLockLines(entry.info.text).length > 0)
      return 'it is opened when locks are taken already, and has some';
    const set = watcherOf(entry, entries);
    return set === null
      ? null
      : `it is opened when epoll sets are filled already, and the one on descriptor ${set} watches it`;
  },
  capture: ({ entries: [entry] }, context) => {
    const { pid } = context;
    warnOfNews(entry!, context);
    const late = lateness(entry!.link, pid);
    return { ...pathFile(entry!), path: ownPath(entry!.link, pid)!, ...(late === null ? {} : { late }) };
  },
};
