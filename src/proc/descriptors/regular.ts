/** Files that are opened again by path: regular files, directories, and whatever was opened with O_PATH. */

import { type BigIntStats, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isBytes, textOfBytes } from '../../byte-text.js';
import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { deviceNumbers } from '../objects.js';
import type { Entry } from './entries.js';
import { isOfKernel } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { warnOfNews } from './news.js';
import { otherName } from './other-names.js';
import { pathProblem } from './paths.js';
import { attributeProblem, warnOfRights } from './rights.js';
import { seenOf } from './seen.js';
import type { Target } from './target.js';
import { nameOf } from './threads.js';
import { unixView } from './unix-view.js';

const { S_IFMT, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK } = constants;
/** `/proc/4242/status`: a process has other ids, or none, by the time the image runs. */
const PROCESS_PATH = /^\/proc\/(\d+)(?:\/|$| \(deleted\)$)(task\/(\d+))?/;

type FileType = Exclude<OpenFileOf<'file'>['type'], 'chosen'>;

const TYPES: Readonly<Record<number, FileType>> = {
  [S_IFREG]: 'regular',
  [S_IFDIR]: 'directory',
  [S_IFCHR]: 'device',
  [S_IFBLK]: 'device',
  [S_IFIFO]: 'fifo',
  [S_IFSOCK]: 'socket',
  [S_IFLNK]: 'symlink',
};

/** The type of a file, as it must be found again; `undefined` for what no path leads to. */
export function fileType(stat: BigIntStats): FileType | undefined {
  return TYPES[Number(stat.mode) & S_IFMT];
}

/** Whether it is a regular file. */
export function isRegular(stat: BigIntStats): boolean {
  return (Number(stat.mode) & S_IFMT) === S_IFREG;
}

/** What is opened again by its path, if that still leads to the same file. */
export const regular: DescriptorKind = {
  matches: ({ link, stat, info }) => {
    const type = TYPES[Number(stat.mode) & S_IFMT];
    if (!link.startsWith('/') || type === undefined) return false;
    return type === 'regular' || type === 'directory' || (info.flags & O.PATH) !== 0;
  },
  describe: ({ link, stat, info }) => {
    const path = info.flags & O.PATH ? ' by O_PATH' : '';
    return `${fileTypeName(stat)}${path}, ${link}`;
  },
  problem: (entry, target) => {
    if (isOfProcess(entry)) return strangerProblem(entry, target.pid);
    const why = pathProblem(entry, target);
    if (why !== null && nameLeft(entry, target) === null) return why;
    return isRegular(entry.stat) ? attributeProblem(target.pid, entry) : null;
  },
  choices: choicesOf,
  capture: ({ entries: [entry] }, context) => {
    const { target } = context;
    warnOfNews(entry!, context);
    warnOfRights(entry!, choicesOf(entry!), context);
    const seen = isRegular(entry!.stat) ? seenOf(entry!, context) : undefined;
    return {
      ...pathFile(entry!),
      ...(pathProblem(entry!, target) === null ? {} : { path: nameLeft(entry!, target)! }),
      ...(isRegular(entry!.stat) ? stateOf(entry!, target) : {}),
      ...(isOwnSocket(entry!, target) ? { late: { thread: null } } : {}),
      ...(seen === undefined ? {} : { seen }),
    };
  },
};

function choicesOf(entry: Entry): string[] {
  if (!isRegular(entry.stat) || isOfProcess(entry)) return [];
  return [...(isBytes(entry.link) ? [] : [`--file ${quote(`${entry.link}=embed`)}`]), '--files embed'];
}

/** As a shell takes it. */
function quote(word: string): string {
  return /^[\w\-./=:@%+,]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Where a regular file is still found whose own path is gone. */
function nameLeft(entry: Entry, target: Target): string | null {
  return isRegular(entry.stat) && entry.stat.nlink > 0n ? otherName(entry, target) : null;
}

/** Whether it may be the file of a socket of the process, which is bound anew: all in its folder, as it may have moved. */
function isOwnSocket({ stat, link }: Entry, target: Target): boolean {
  if (fileType(stat) !== 'socket') return false;
  return target.entries.some((entry) => {
    const name = unixView(target).socket(entry)?.name;
    return name !== undefined && dirname(textOfBytes(name)) === dirname(link);
  });
}

/**
 * Size and modification time by which a file is known again: the time only where the process itself
 * does not write to it, neither where the kernel makes up what is in it.
 */
function stateOf(entry: Entry, { pid, files }: Target): { size: bigint; modified: bigint | null } {
  const { stat } = entry;
  if (isOfKernel(pid, entry)) return { size: 0n, modified: null };
  const compared = !files.isWritten(stat) && !(entry.info.flags & O.PATH) && stat.mtimeNs >= 0n;
  return { size: stat.size, modified: compared ? stat.mtimeNs : null };
}

/** What a file is called in messages. */
export function fileTypeName(stat: BigIntStats): string {
  const type = fileType(stat) ?? 'unknown';
  return type === 'regular' ? 'file' : type;
}

/** Whether it lies below `/proc/PID`. */
export function isOfProcess({ link, stat }: Pick<Entry, 'link' | 'stat'>): boolean {
  return PROCESS_PATH.test(link) && stat.dev === statSync('/proc', { bigint: true }).dev;
}

/** Names the process or thread. */
function strangerProblem({ link }: Entry, pid: number): string {
  const [, process, , thread] = PROCESS_PATH.exec(link)!;
  if (Number(process) === pid && thread !== undefined)
    return `it belongs to thread ${thread}, which is not there yet when files are opened`;
  // The name of a folder tells by itself that it is gone; a file below may have another process's name by now.
  if (/^\/proc\/\d+.* \(deleted\)$/.test(link) || !existsSync(`/proc/${process}`))
    return `it belongs to process ${process}, which has ended`;
  if (existsSync(`/proc/${pid}/task/${process}`))
    return `it belongs to thread ${process} by an id that may be another's when it is opened again: /proc/self/task/${thread ?? process} is carried`;
  return `it belongs to process ${nameOf(Number(process))}, which is not frozen with this one`;
}

/** A description that is made by opening its path. */
export function pathFile({ link, stat, info }: Entry): Omit<OpenFileOf<'file'>, 'locks'> {
  const type = TYPES[Number(stat.mode) & S_IFMT]!;
  return {
    kind: 'file',
    type,
    flags: info.flags,
    path: link,
    offset: type === 'device' ? 0n : info.offset,
    size: type === 'regular' ? stat.size : 0n,
    modified: null,
    device: type === 'device' ? deviceNumbers(stat.rdev) : null,
  };
}
