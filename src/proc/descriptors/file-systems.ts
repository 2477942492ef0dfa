/** File systems that are none of a disk's. */
import { statfsSync } from 'node:fs';
import { type Entry, linkOf } from './entries.js';

/** Magic numbers of statfs(2), from `linux/magic.h`. */
export const HUGETLBFS_MAGIC = 0x958458f6;
export const SECRETMEM_MAGIC = 0x5345434d;
export const MQUEUE_MAGIC = 0x19800202;
export const TMPFS_MAGIC = 0x01021994;
export const OVERLAYFS_MAGIC = 0x794c7630;
/** Those whose files the kernel makes up as they are read: sizes and times tell nothing. */
const OF_KERNEL: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x73636673, // securityfs
  0x62656570, // configfs
  0xcafe4a11, // bpf
  0xde5e81e4, // efivarfs
]);

/** Magic number of the file system; 0 for a descriptor that a running process has closed meanwhile. */
export function fileSystemOf(pid: number, entry: Entry): number {
  try {
    return statfsSync(linkOf(pid, entry)).type;
  } catch {
    return 0;
  }
}

/** Whether the kernel makes up what is in a file. */
export function isOfKernel(pid: number, entry: Entry): boolean {
  return isMadeUp(fileSystemOf(pid, entry));
}

/** The same of all files of a file system, by its magic number. */
export function isMadeUp(fileSystem: number): boolean {
  return OF_KERNEL.has(fileSystem);
}
