/** From the lines of smaps to regions: what each is backed by, and what cannot be carried. */

import { statSync } from 'node:fs';
import { filePath } from '../byte-text.js';
import type { MappedFile, Region } from '../snapshot/schema.js';
import { RING_LINK } from '../uring.js';
import type { FileDecisions } from './file-choices.js';
import { isHuge } from './huge-pages.js';
import type { Inode } from './inode.js';
import type { Mapping } from './maps.js';
import { deviceName } from './objects.js';

/** How shared memory of files is to be carried. */
export interface RegionOptions {
  /** Writable shared file mappings travel in the image, private to each thawed copy. */
  embedShared: boolean;
  /** What becomes of regular files; what is found here of them is noted there. */
  files: FileDecisions;
}

/** What a mapping turned out to be. `object` names memory that several mappings or descriptors may share. */
export type Classified =
  | { kind: 'anonymous' | 'image' | 'image-shared' | 'ring' | 'aio' | 'uring' | 'vdso' | 'vvar' }
  | { kind: 'file'; file: MappedFile }
  | { kind: 'object'; object: 'shared-anonymous' | 'memfd' | 'deleted-file'; name: string }
  /** `device`: as in {@link Mapping}, but of the file as stat(2) sees it. */
  | { kind: 'object'; object: 'embedded-file'; name: string; device: string }
  | { kind: 'skip' }
  | { kind: 'unsupported'; why: string };

/** Regions above this are the kernel's own ([vsyscall]). */
const USER_SPACE_END = 0x7fff_ffff_f000n;
const EXECUTABLE = 4;
const DELETED = ' (deleted)';
const MEMFD = '/memfd:';
/** What the kernel calls memory of MAP_ANONYMOUS | MAP_HUGETLB. */
const ANONYMOUS_HUGE = '/anon_hugepage';
/** VmFlags of memory whose missing, minor or write-protection faults a userfaultfd handles. */
const USERFAULTFD = ['um', 'ui', 'uw'];
/** Names that the kernel gives to shared memory of its own file systems. */
const SPECIAL_MEMORY: readonly (readonly [name: string, why: string])[] = [
  ['/SYSV', 'is System V shared memory, which is not carried yet'],
  ['/secretmem', 'is secret memory (memfd_secret), which only the process itself can read'],
  ['/dmabuf:', 'is memory of a device'],
];

/** Why shared memory of such a name is never carried; `null` for any other. */
export function whySpecial(path: string): string | null {
  return SPECIAL_MEMORY.find(([name]) => path.startsWith(name))?.[1] ?? null;
}

/** Whether shared memory of such a name is a ring of io_setup(2). */
export function isAioRing(path: string): boolean {
  return path.startsWith('/[aio]');
}

/** Decides what a mapping is. `root` is prefixed to paths of the target, for files seen through `/proc/PID/root`. */
export function classify(mapping: Mapping, root: string, options: RegionOptions): Classified {
  const { path, shared, flags } = mapping;
  if (path === '[vsyscall]') return { kind: 'skip' };
  if (mapping.start >= USER_SPACE_END)
    return { kind: 'unsupported', why: 'lies above the 47-bit address space' };
  if (path === '[vdso]') return { kind: 'vdso' };
  if (path.startsWith('[vvar')) return { kind: 'vvar' };
  if (flags.includes('io') || flags.includes('pf')) {
    return { kind: 'unsupported', why: 'is memory of a device' };
  }
  if (flags.includes('ss'))
    return { kind: 'unsupported', why: 'is a shadow stack (CET), which is not carried yet' };
  // Memory that is executable alone gets a key from the kernel, at the thaw as well.
  if (mapping.protectionKey !== 0 && mapping.prot !== EXECUTABLE)
    return { kind: 'unsupported', why: 'has a protection key (pkey_mprotect), which is not carried yet' };
  if (USERFAULTFD.some((flag) => flags.includes(flag)))
    return { kind: 'unsupported', why: 'is watched by a userfaultfd, which cannot be carried' };
  if (!shared && isAnonymous(mapping)) return { kind: 'anonymous' };
  if (isHuge(mapping)) return classifyHuge(mapping, root, options);
  return shared ? classifyShared(mapping, root, options) : { kind: 'image' };
}

/** Private memory without a file: the kernel shows an inode only for what a file or object backs. */
function isAnonymous(mapping: Mapping): boolean {
  return mapping.inode === 0n || mapping.path === '/dev/zero' || mapping.path.startsWith(ANONYMOUS_HUGE);
}

/**
 * Mappings of hugetlbfs. What would be a mapping of the image elsewhere is one of an object here: an image has no huge
 * pages. Private ones have their own copies beside it.
 */
function classifyHuge(mapping: Mapping, root: string, options: RegionOptions): Classified {
  const { path, shared, inode } = mapping;
  if (path.startsWith(ANONYMOUS_HUGE)) return { kind: 'object', object: 'shared-anonymous', name: '' };
  if (path.startsWith(MEMFD)) return memfdOf(path);
  const found = shared ? classifyShared(mapping, root, options) : null;
  if (found && found.kind !== 'image-shared') return found;
  const file = fileAt(root + path, inode);
  if (file === null || file === 'special')
    return { kind: 'object', object: 'deleted-file', name: withoutDeleted(path) };
  if (options.files.chosen(path, file)?.kind === 'embed') options.files.embed(file);
  return { kind: 'object', object: 'embedded-file', name: path, device: deviceName(file.dev) };
}

function memfdOf(path: string): Classified {
  return { kind: 'object', object: 'memfd', name: path.slice(MEMFD.length).replace(DELETED, '') };
}

function withoutDeleted(path: string): string {
  return path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
}

function classifyShared(mapping: Mapping, root: string, options: RegionOptions): Classified {
  const { path, flags } = mapping;
  if (path === `/dev/zero${DELETED}` || path.startsWith('[anon_shmem:')) {
    return { kind: 'object', object: 'shared-anonymous', name: '' };
  }
  if (path.startsWith(MEMFD)) return memfdOf(path);
  const special = whySpecial(path);
  if (special !== null) return { kind: 'unsupported', why: special };
  if (path.startsWith('socket:')) return { kind: 'ring' };
  if (isAioRing(path)) return { kind: 'aio' };
  if (path === RING_LINK) return { kind: 'uring' };
  if (!path.startsWith('/'))
    return { kind: 'unsupported', why: 'is memory of a kernel object, not of a file' };
  const file = fileAt(root + path, mapping.inode);
  if (file === 'special') return { kind: 'unsupported', why: 'is memory of a device' };
  const { files, embedShared } = options;
  const readOnly = !flags.includes('mw') && !(mapping.prot & 2);
  if (file === null) {
    const deleted = path.endsWith(DELETED);
    if (!deleted && readOnly) return { kind: 'image-shared' };
    if (!deleted && !embedShared) {
      return {
        kind: 'unsupported',
        why: 'shows a file to which its path does not lead from here: --embed-shared gives the image a copy of its own',
      };
    }
    return { kind: 'object', object: 'deleted-file', name: withoutDeleted(path) };
  }
  const choice = files.chosen(path, file);
  if (readOnly) return { kind: 'image-shared' };
  if ((choice?.kind ?? (embedShared ? 'embed' : files.of(path, file).kind)) === 'embed') {
    files.embed(file);
    return { kind: 'object', object: 'embedded-file', name: path, device: deviceName(file.dev) };
  }
  files.write(file);
  const size = Number(mapping.offset) + Number(mapping.end - mapping.start);
  const least = Math.min(size, Number(file.size));
  return {
    kind: 'file',
    file: { path: choice?.kind === 'open' ? choice.path : path, writable: true, size: least },
  };
}

/** The regular file at `path` if it is the mapped one; `special` for a device; `null` if it is gone or another. */
function fileAt(path: string, inode: bigint): (Inode & { size: bigint }) | 'special' | null {
  try {
    const stat = statSync(filePath(path), { bigint: true });
    if (stat.ino !== inode) return null;
    return stat.isFile() ? stat : 'special';
  } catch {
    return null;
  }
}

/** The parts of a region that come straight from its mapping. */
export function regionOf(mapping: Mapping): Omit<Region, 'backing' | 'extents' | 'guards'> {
  const { start, end, prot, shared, offset, device, inode, path, flags, pageSize } = mapping;
  return { start, end, prot, shared, offset, device, inode, path, flags: [...flags], pageSize };
}

/** `7f0000000000-7f0000001000 rw-s /srv/data`, for messages. */
export function describeMapping(
  mapping: Pick<Mapping, 'start' | 'end' | 'prot' | 'shared' | 'path'>,
): string {
  const bits = `${mapping.prot & 1 ? 'r' : '-'}${mapping.prot & 2 ? 'w' : '-'}${mapping.prot & 4 ? 'x' : '-'}`;
  const range = `${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
  return `${range} ${bits}${mapping.shared ? 's' : 'p'}${mapping.path ? ` ${mapping.path}` : ''}`;
}
