import { PermissionError } from '../errors.js';
import type { Native } from './native.js';
import { formatSize } from './sizes.js';

const SYS_FSTATFS = 138;

/** `struct statfs` of x86-64, as 64-bit words. */
const STATFS_WORDS = 15;
const F_TYPE = 0;
const F_BLOCKS = 2;
const F_BFREE = 3;
const F_BAVAIL = 4;
const F_FRSIZE = 9;
const F_FLAGS = 10;

/** `ST_*` of `<sys/statvfs.h>`. */
const ST_RDONLY = 1n;
const ST_NOEXEC = 8n;

/**
 * File systems, by their magic numbers (`linux/magic.h`), that find room for what is written at once: an
 * error of writing never comes later than the call. Others, those of a network above all, may tell
 * of it when the file is synced.
 */
const LOCAL = new Set([
  0xef53n, // ext2, ext3, ext4
  0x5846_5342n, // XFS
  0x9123_683en, // btrfs
  0xf2f5_2010n, // F2FS
  0x0102_1994n, // tmpfs
  0x794c_7630n, // overlayfs
]);

/** What statfs(2) tells of a file system. */
export interface FileSystem {
  readonly readOnly: boolean;
  readonly noExec: boolean;
  /** Nothing but the failure of a disk can go wrong behind write(2). */
  readonly local: boolean;
  /** Bytes free to us; `undefined` where the file system has no size of its own. */
  readonly available: bigint | undefined;
}

/** The file system of an open file. */
export function readFileSystem(native: Native, fd: number): FileSystem {
  const statfs = new BigUint64Array(STATFS_WORDS);
  native.syscall(SYS_FSTATFS, fd, new Uint8Array(statfs.buffer));
  const word = (index: number) => statfs[index] ?? 0n;
  const free = word(process.geteuid?.() === 0 ? F_BFREE : F_BAVAIL) * word(F_FRSIZE);
  return {
    readOnly: (word(F_FLAGS) & ST_RDONLY) !== 0n,
    noExec: (word(F_FLAGS) & ST_NOEXEC) !== 0n,
    local: LOCAL.has(word(F_TYPE)),
    available: word(F_BLOCKS) > 0n ? free : undefined,
  };
}

/**
 * Checks that an image can be run from a file system, and fits into it.
 * @param needed an estimate, in bytes
 * @throws PermissionError saying what is in the way
 */
export function checkFileSystem(fileSystem: FileSystem, path: string, needed: number): void {
  const { readOnly, noExec, available } = fileSystem;
  if (readOnly) {
    throw new PermissionError(
      `cannot write ${path}: its file system is mounted read-only: choose another folder`,
    );
  }
  if (noExec) {
    throw new PermissionError(
      `cannot write ${path}: its file system is mounted noexec, so the image could not be run there; ` +
        'choose another folder, or stream it with -o -',
    );
  }
  if (available !== undefined && available < BigInt(needed)) {
    throw new PermissionError(
      `cannot write ${path}: no space left: ${formatSize(needed)} are needed, ${formatSize(available)} are free`,
    );
  }
}
