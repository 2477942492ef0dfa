import { PermissionError } from '../errors.js';
import type { Native } from './native.js';
import { formatSize } from './sizes.js';

const SYS_FSTATFS = 138;

/** `struct statfs` of x86-64, as 64-bit words. */
const STATFS_WORDS = 15;
const F_BLOCKS = 2;
const F_BFREE = 3;
const F_BAVAIL = 4;
const F_FRSIZE = 9;
const F_FLAGS = 10;

/** `ST_*` of `<sys/statvfs.h>`. */
const ST_RDONLY = 1n;
const ST_NOEXEC = 8n;

/**
 * Checks that an image can be run from the file system of `fd`, and fits into it.
 * @param needed an estimate, in bytes
 * @throws PermissionError saying what is in the way
 */
export function checkFileSystem(native: Native, fd: number, path: string, needed: number): void {
  const statfs = new BigUint64Array(STATFS_WORDS);
  native.syscall(SYS_FSTATFS, fd, new Uint8Array(statfs.buffer));
  const word = (index: number) => statfs[index] ?? 0n;
  if (word(F_FLAGS) & ST_RDONLY) {
    throw new PermissionError(
      `cannot write ${path}: its file system is mounted read-only: choose another folder`,
    );
  }
  if (word(F_FLAGS) & ST_NOEXEC) {
    throw new PermissionError(
      `cannot write ${path}: its file system is mounted noexec, so the image could not be run there; ` +
        'choose another folder, or stream it with -o -',
    );
  }
  const available = word(process.geteuid?.() === 0 ? F_BFREE : F_BAVAIL) * word(F_FRSIZE);
  // File systems without a size of their own report no blocks at all.
  if (word(F_BLOCKS) > 0n && available < BigInt(needed)) {
    throw new PermissionError(
      `cannot write ${path}: no space left: ${formatSize(needed)} are needed, ${formatSize(available)} are free`,
    );
  }
}
