/** Files below `/proc/PID` of the process itself: opened again as those of whatever id it has then. */

import { readProcText } from '../read.js';
import { parseStatus } from '../status.js';
import type { Entry } from './entries.js';
import type { DescriptorKind } from './kind.js';
import { isOfProcess, pathFile, regular } from './regular.js';
import type { Target } from './target.js';

/** `/proc/4242/task/4243/stat`: process, thread, and what is below. */
const OWN = /^\/proc\/(\d+)(?:\/task\/(\d+))?((?:\/.*)?)$/;

/** Files that are there only once what they are about is: descriptors and memory. */
const EARLY = /\/(fdinfo|map_files)\/[^/]+$/;

/**
 * The path under which the same file is found in a process that has another id; `null` for what belongs
 * to another process, or to a thread that does not exist yet when files are opened.
 */
export function ownPath(link: string, pid: number): string | null {
  const match = OWN.exec(link);
  if (!match || Number(match[1]) !== pid) return null;
  const [, , tid, rest] = match;
  if (tid === undefined) return `/proc/self${rest}`;
  return Number(tid) === pid ? `/proc/thread-self${rest}` : null;
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
  problem: ({ link }) => {
    const what = EARLY.exec(link)?.[1];
    return what === undefined
      ? null
      : `it tells of ${what === 'fdinfo' ? 'a descriptor' : 'memory'} that is not there yet when files are opened`;
  },
  capture: ({ entries: [entry] }, { pid }) => ({ ...pathFile(entry!), path: ownPath(entry!.link, pid)! }),
};
