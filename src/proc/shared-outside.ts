/**
 * What a process shares with others that stay behind, by fork(2) or because it was passed on: memory without a
 * name, objects of the kernel without a file, locks and offsets. Reads without a stop, in one look at all others.
 */
import { statSync } from 'node:fs';
import type { DescriptorChoices } from './descriptors/choices.js';
import { type Entry, nameOf as nameOfEntry, readEntries } from './descriptors/entries.js';
import { ownLocks } from './descriptors/locks.js';
import { refusalOf } from './descriptors/refusal.js';
import { isRegular } from './descriptors/regular.js';
import { nameOf } from './descriptors/threads.js';
import { type Mapping, parseMaps } from './maps.js';
import { deviceName } from './objects.js';
import { descendantsOf, descriptorsOf, mapsOf, type OutsideDescriptor, outsiders } from './outsiders.js';
import { readProcText, unlessRefused } from './read.js';
import { describeMapping, isAioRing, whySpecial } from './regions.js';
import { finderOf } from './same-description.js';
import { hasOffset, offsetWarning } from './shared-offsets.js';

/** What the user lets go of. */
export interface SharingConcessions {
  /** Children stay behind, and what is shared with them. */
  readonly dropChildren: boolean;
  /** Shared memory travels in the image, each thawed copy's own. */
  readonly embedShared: boolean;
  readonly descriptors: DescriptorChoices;
}

/** Objects that several processes may have, each of which sees what another does with them; with their kinds. */
const OBJECTS: ReadonlyMap<string, string> = new Map([
  ['anon_inode:[eventfd]', 'eventfd'],
  ['anon_inode:[timerfd]', 'timerfd'],
  ['anon_inode:[eventpoll]', 'epoll set'],
  ['anon_inode:inotify', 'inotify'],
  ['anon_inode:[fanotify]', 'fanotify'],
]);
const DELETED = ' (deleted)';
const PROT_WRITE = 2;
const SHARED_LINE = /^\S+ \S{3}s [^\n]*/gm;

/** A line for each. */
export interface SharedOutside {
  /** What the image cannot have without the others. */
  readonly problems: readonly string[];
  /** What it has of its own then, or can have only when the others have ended. */
  readonly warnings: readonly string[];
}

/** All that is shared so. Processes that may not be looked at count as sharing nothing. */
export function surveySharedOutside(pid: number, concessions: SharingConcessions): SharedOutside {
  const { drop, replace, inherit } = concessions.descriptors;
  const entries = readEntries(pid).filter(({ fd }) => !drop.has(fd) && !replace.has(fd) && !inherit.has(fd));
  const memory = concessions.embedShared ? [] : sharedMemory(readProcText(pid, 'maps'));
  return survey(pid, entries, memory, concessions);
}

/** The same for what is on its way in sockets, which is seen only while the process is stopped. */
export function surveySharedInFlight(
  pid: number,
  entries: readonly Entry[],
  concessions: Omit<SharingConcessions, 'descriptors'>,
): SharedOutside {
  return survey(pid, entries, [], concessions);
}

/** Who has it, too, and stays behind; of those that do, a child that the user has let go of comes last. */
type Holders = Map<string | Entry, number>;

function survey(
  pid: number,
  entries: readonly Entry[],
  memory: readonly Mapping[],
  { dropChildren, embedShared }: Omit<SharingConcessions, 'descriptors'>,
): SharedOutside {
  const objects = entries.filter(({ link }) => OBJECTS.has(link));
  const files = embedShared ? [] : entries.filter(({ stat }) => isRegular(stat) && stat.nlink === 0n);
  const locked = entries.filter((entry) => ownLocks(entry) !== null);
  const placed = entries.filter((entry) => !entry.flight && hasOffset(entry));
  const described = [...new Set([...objects, ...locked, ...placed])];
  if (described.length + files.length + memory.length === 0) return { problems: [], warnings: [] };
  const hasMemory = files.length + memory.length > 0;
  const find = finderOf(pid, described);
  const holders: Holders = new Map();
  const dropped: Holders = new Map();
  const letGo = dropChildren ? descendantsOf(pid) : new Set<number>();
  for (const other of outsiders(pid)) {
    if (letGo.has(other) && locked.length === 0) continue;
    const found = letGo.has(other) ? dropped : holders;
    const theirs = descriptorsOf(other);
    if (hasMemory && found === holders)
      for (const key of memoryOf(other, theirs)) if (!found.has(key)) found.set(key, other);
    for (const descriptor of theirs) {
      const entry = find(descriptor);
      if (entry && !found.has(entry)) found.set(entry, other);
    }
  }
  return {
    problems: [
      ...memory.flatMap((mapping) => memoryProblem(pid, mapping, holders.get(memoryKey(mapping)))),
      ...files.flatMap((entry) => problem(entry, holders.get(fileKey(entry)), ['--embed-shared'])),
      ...objects.flatMap((entry) => problem(entry, holders.get(entry))),
      ...locked.flatMap((entry) => lockProblem(entry, holders.get(entry))),
    ],
    warnings: [
      ...placed.flatMap((entry) => (holders.has(entry) ? [offsetWarning(entry, holders.get(entry)!)] : [])),
      ...locked.flatMap((entry) => (dropped.has(entry) ? [lockWarning(entry, dropped.get(entry)!)] : [])),
    ],
  };
}

/** A lock of an open file is everybody's who has it: while one is left, nobody can take another. */
function lockProblem(entry: Entry, holder: number | undefined): string[] {
  if (holder === undefined) return [];
  const fd = entry.flight?.carrier ?? entry.fd;
  const why = `its ${ownLocks(entry)} is held by process ${nameOf(holder)} as well, which stays behind`;
  return [refusalOf(fd, `file, ${entry.link}`, why, [], nameOfEntry(entry))];
}

function lockWarning(entry: Entry, holder: number): string {
  return `the ${ownLocks(entry)} on ${entry.link} (${nameOfEntry(entry)}) is held by process ${nameOf(holder)} as well: the image refuses as long as that has it open`;
}

function problem(entry: Entry, holder: number | undefined, more: readonly string[] = []): string[] {
  if (holder === undefined) return [];
  const kind = OBJECTS.get(entry.link) ?? 'deleted file';
  const fd = entry.flight?.carrier ?? entry.fd;
  return [refusalOf(fd, `${kind}, ${entry.link}`, `it is ${sharedWith(holder)}`, more, nameOfEntry(entry))];
}

function memoryProblem(pid: number, mapping: Mapping, holder: number | undefined): string[] {
  const why =
    holder !== undefined
      ? `is ${sharedWith(holder)}`
      : !isAioRing(mapping.path) && hasOtherName(pid, mapping)
        ? 'shows a file that was deleted under this name and has another'
        : null;
  if (why === null) return [];
  return [
    `the memory at ${describeMapping(mapping)} ${why}: --embed-shared gives the image a copy of its own`,
  ];
}

function sharedWith(holder: number): string {
  return `shared with process ${nameOf(holder)}, which stays behind`;
}

/** A hard link; told only to the privileged. */
function hasOtherName(pid: number, { start, end, prot }: Mapping): boolean {
  const path = `/proc/${pid}/map_files/${start.toString(16)}-${end.toString(16)}`;
  return (prot & PROT_WRITE) !== 0 && unlessRefused(() => statSync(path).nlink > 0, false);
}

/** Shared mappings that no path leads to, but for those that are refused anyway. */
function sharedMemory(maps: string): Mapping[] {
  const lines = maps.match(SHARED_LINE)?.filter((line) => isNameless(line)) ?? [];
  return [...parseMaps(lines)].filter(({ path }) => whySpecial(path) === null);
}

/** By the end of a link or a line of maps: a deleted file, memfd, anonymous memory by its kernel's name or its own. */
function isNameless(link: string): boolean {
  return link.endsWith(DELETED) || link.includes('/memfd:') || link.includes('[anon_shmem:');
}

/** Keys of all nameless memory that a process has, mapped or open. */
function memoryOf(pid: number, descriptors: readonly OutsideDescriptor[]): string[] {
  const open = descriptors
    .filter(({ link }) => isNameless(link))
    .flatMap(({ path }) => unlessRefused(() => [fileKey({ stat: statSync(path, { bigint: true }) })], []));
  return [...open, ...sharedMemory(mapsOf(pid)).map(memoryKey)];
}

function memoryKey({ device, inode }: Mapping): string {
  return `${device} ${inode}`;
}

function fileKey({ stat }: Pick<Entry, 'stat'>): string {
  return `${deviceName(stat.dev)} ${stat.ino}`;
}
