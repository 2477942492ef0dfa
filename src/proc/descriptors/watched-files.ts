/**
 * Paths to the files that are watched. The kernel tells an inode: what is looked for is a path that
 * leads to it, among those that the process has to do with, by the kernel's help where it is
 * permitted, and below the directories found so far.
 */

import { type BigIntStats, closeSync, lstatSync, openSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { filePath, textOfBytes } from '../../byte-text.js';
import { O } from '../../fcntl.js';
import { IN } from '../../inotify.js';
import { type FileHandle, nameToHandle, openByHandle } from '../../native/file-handle.js';
import { deviceNumbers } from '../objects.js';
import { errnoOf, LONG_PATH, readLink, readProc, readProcLink, readProcText, unescapePath } from '../read.js';
import { leadsHere } from './paths.js';
import { fileType, isOfProcess } from './regular.js';
import type { Target } from './target.js';
import type { Watch } from './watches.js';

/** A path, and what stands there. */
export interface WatchedFile {
  readonly path: string;
  readonly stat: BigIntStats;
}

/** How many directory entries are looked at, while the process is stopped. */
const MOST_ENTRIES = 20_000;
/** Who watches for these would see the search itself. */
const SEEN_BY_LOOKING = IN.OPEN | IN.ACCESS | IN.CLOSE_NOWRITE;

/** A mount of the process's namespace. */
export interface Mount {
  readonly id: number;
  readonly device: string;
  /** Which folder of the file system is mounted. */
  readonly root: string;
  readonly point: string;
}

/** The files of these watches; those that were not found are missing. */
export function findWatched(target: Target, watches: readonly Watch[]): Map<Watch, WatchedFile> {
  const search = new Search(target, watches);
  for (const path of nearPaths(target)) search.tryPath(path);
  search.askKernel();
  if (!watches.some(({ mask }) => mask & SEEN_BY_LOOKING)) search.walk(pathTold(target.pid, 'cwd'));
  return search.found;
}

/** Paths that the process has, or was started with, and the directories above them. */
function* nearPaths({ pid, entries }: Target): Generator<string> {
  const cwd = pathTold(pid, 'cwd') ?? '/';
  const words = (name: string): string[] => textOfBytes(readProc(pid, name)).split('\0');
  const parameters = words('cmdline').flatMap((word) => [word, word.slice(word.indexOf('=') + 1)]);
  const variables = words('environ').flatMap((word) => word.slice(word.indexOf('=') + 1).split(':'));
  const paths = [
    cwd,
    pathTold(pid, 'exe') ?? '/',
    ...entries.map(({ link }) => link).filter((link) => link.startsWith('/')),
    ...parameters.filter((word) => word !== '').map((word) => resolve(cwd, word)),
    ...variables.filter((word) => word.startsWith('/')),
  ];
  const seen = new Set<string>();
  for (let path of paths) {
    for (; !seen.has(path); path = dirname(path)) {
      seen.add(path);
      yield path;
    }
  }
}

function pathTold(pid: number, name: 'cwd' | 'exe'): string | null {
  const path = readProcLink(pid, name);
  return path === LONG_PATH ? null : path;
}

class Search {
  readonly found = new Map<Watch, WatchedFile>();
  readonly #wanted: Map<string, Watch>;
  readonly #mounts: readonly Mount[];
  readonly #target: Target;

  constructor(target: Target, watches: readonly Watch[]) {
    this.#wanted = new Map(watches.flatMap((watch) => keysOf(watch).map((key) => [key, watch])));
    this.#mounts = watches.length > 0 ? readMounts(target.pid) : [];
    this.#target = target;
  }

  /** Takes the path for the watch of what stands there, if there is one. */
  tryPath(path: string): void {
    if (this.#wanted.size === 0) return;
    try {
      const key = this.#keyAt(this.#target.root + path);
      const watch = this.#wanted.get(key);
      if (!watch) return;
      const stat = lstatSync(filePath(this.#target.root + path), { bigint: true });
      if (fileType(stat) === undefined || isOfProcess({ link: path, stat })) return;
      if (!leadsHere(path, this.#target)) return;
      for (const each of keysOf(watch)) this.#wanted.delete(each);
      this.found.set(watch, { path, stat });
    } catch (error) {
      // Not a path, not permitted, or gone meanwhile: it is not the one.
      if (errnoOf(error) === undefined) throw error;
    }
  }

  /** What a file is known by: its handle and file system, else inode and device. */
  #keyAt(path: string): string {
    try {
      const { mount, ...handle } = nameToHandle(path);
      const device = this.#mounts.find(({ id }) => id === mount)?.device;
      return handleKey(handle, device ?? '');
    } catch (error) {
      if (errnoOf(error) !== 'EOPNOTSUPP') throw error;
      const { ino, dev } = lstatSync(filePath(path), { bigint: true });
      const { major, minor } = deviceNumbers(dev);
      return `inode ${ino} ${major}:${minor}`;
    }
  }

  /** Opens files by their handles, which takes a privilege, and reads their paths off. */
  askKernel(): void {
    for (const { handle, device } of new Set(this.#wanted.values())) {
      if (!handle) continue;
      for (const { point } of this.#mounts.filter((mount) => mount.device === nameOf(device))) {
        const path = pathOf(this.#target.root + point, handle);
        if (path === 'EPERM') return;
        if (path !== null) this.tryPath(path);
      }
    }
  }

  /** Looks below the current directory, and below the watched ones: programs watch whole trees. */
  walk(cwd: string | null): void {
    const folders = [...this.found.values()].filter(({ stat }) => fileType(stat) === 'directory');
    const queue = [...(cwd === null ? [] : [cwd]), ...folders.map(({ path }) => path)];
    const seen = new Set(queue);
    let looks = 0;
    for (let folder = queue.shift(); folder !== undefined && this.#wanted.size > 0; folder = queue.shift()) {
      for (const entry of listFolder(this.#target.root + folder)) {
        if (++looks > MOST_ENTRIES) return;
        const path = join(folder, textOfBytes(entry.name));
        this.tryPath(path);
        if (!entry.isDirectory() || seen.has(path)) continue;
        seen.add(path);
        queue.push(path);
      }
    }
  }
}

/** What a file may be known by: which of them depends on the file system. */
function keysOf({ handle, inode, device }: Watch): string[] {
  const key = `inode ${inode} ${nameOf(device)}`;
  return handle ? [handleKey(handle, nameOf(device)), key] : [key];
}

function handleKey({ type, bytes }: FileHandle, device: string): string {
  return `handle ${type} ${Buffer.from(bytes).toString('hex')} ${device}`;
}

function nameOf({ major, minor }: Watch['device']): string {
  return `${major}:${minor}`;
}

/** The path that the kernel has for a handle, `EPERM` where it may not be asked. */
function pathOf(mountPoint: string, handle: FileHandle): string | null {
  let mount = -1;
  let file = -1;
  try {
    mount = openSync(filePath(mountPoint), O.RDONLY | O.DIRECTORY | O.NONBLOCK);
    file = openByHandle(mount, handle, O.PATH | O.NOFOLLOW | O.CLOEXEC);
    return readLink(`/proc/self/fd/${file}`);
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    return code === 'EPERM' ? code : null;
  } finally {
    if (file >= 0) closeSync(file);
    if (mount >= 0) closeSync(mount);
  }
}

function listFolder(path: string): ReturnType<typeof readFolder> {
  try {
    return readFolder(path);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return [];
  }
}

function readFolder(path: string) {
  return readdirSync(filePath(path), { withFileTypes: true, encoding: 'buffer' });
}

/** `/proc/PID/mountinfo`: id, parent, device, root, mount point; whole file systems first. */
export function readMounts(pid: number): Mount[] {
  return readProcText(pid, 'mountinfo')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields.length > 5)
    .sort((a, b) => Number(a[3] !== '/') - Number(b[3] !== '/'))
    .map(([id, , device, root, point]) => ({
      id: Number(id),
      device: device!,
      root: unescapePath(root!),
      point: unescapePath(point!),
    }));
}
