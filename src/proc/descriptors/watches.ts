/** The lines `inotify wd:...` of `/proc/PID/fdinfo/N`; numbers are hexadecimal. */
import type { FileHandle } from '../../native/file-handle.js';

/** A watch: of an inode, for the kernel keeps no path. */
export interface Watch {
  readonly wd: number;
  readonly inode: bigint;
  /** Of the file system, which stat(2) may call otherwise. */
  readonly device: { readonly major: number; readonly minor: number };
  /** `IN_*`. */
  readonly mask: number;
  /** `null` where the file system, or the kernel, has none. */
  readonly handle: FileHandle | null;
}

const LINE =
  /^inotify wd:([0-9a-f]+) ino:([0-9a-f]+) sdev:([0-9a-f]+) mask:([0-9a-f]+)(?:.* fhandle-bytes:[0-9a-f]+ fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]+))?/;
/** The kernel's own dev_t. */
const MINOR_BITS = 20;

/** All watches, ascending by number. */
export function parseWatches(text: string): Watch[] {
  return text
    .split('\n')
    .flatMap((line): Watch[] => {
      const match = LINE.exec(line);
      if (!match) return [];
      const [, wd, inode, device, mask, type, handle] = match;
      return [
        {
          wd: Number.parseInt(wd!, 16),
          inode: BigInt(`0x${inode}`),
          device: kernelDevice(device!),
          mask: Number.parseInt(mask!, 16),
          handle: fileHandle(type, handle),
        },
      ];
    })
    .sort((a, b) => a.wd - b.wd);
}

/** A device number as fdinfo shows it, in hexadecimal digits. */
export function kernelDevice(digits: string): Watch['device'] {
  const number = Number.parseInt(digits, 16);
  return { major: number >>> MINOR_BITS, minor: number & ((1 << MINOR_BITS) - 1) };
}

/** `fhandle-type` and `f_handle` of fdinfo; `null` where they are missing. */
export function fileHandle(type: string | undefined, handle: string | undefined): FileHandle | null {
  return handle ? { type: Number.parseInt(type!, 16), bytes: Buffer.from(handle, 'hex') } : null;
}
