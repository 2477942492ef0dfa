/** File handles: what names an inode of a file system, whatever paths lead to it. */
import { bytesOfText } from '../byte-text.js';
import { errnoOf } from '../errno.js';
import { addon } from './addon.js';

const NR = { name_to_handle_at: 303, open_by_handle_at: 304 } as const;
const AT_FDCWD = -100;
const MAX_HANDLE_SZ = 128;
/** A handle to compare by, which more file systems have than one to open by; since Linux 6.5. */
const AT_HANDLE_FID = 0x200;
let handleFlags = AT_HANDLE_FID;

/** A handle as the kernel gives it to users. */
export interface FileHandle {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/**
 * name_to_handle_at(2) of a path; a symbolic link at its end is not followed.
 * @throws EOPNOTSUPP where the file system has no handles
 */
export function nameToHandle(path: string): FileHandle & { readonly mount: number } {
  const memory = Buffer.alloc(8 + MAX_HANDLE_SZ); // struct file_handle
  memory.writeUInt32LE(MAX_HANDLE_SZ, 0);
  const mount = new Int32Array(1);
  const name = bytesOfText(`${path}\0`);
  const ask = (): unknown =>
    addon.syscall(NR.name_to_handle_at, AT_FDCWD, name, memory, new Uint8Array(mount.buffer), handleFlags);
  try {
    ask();
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL' || handleFlags === 0) throw error;
    handleFlags = 0;
    ask();
  }
  return {
    type: memory.readInt32LE(4),
    bytes: memory.subarray(8, 8 + memory.readUInt32LE(0)),
    mount: mount[0]!,
  };
}

/**
 * open_by_handle_at(2).
 * @param mount a descriptor of any file on the file system, not opened with O_PATH
 * @throws EPERM without CAP_DAC_READ_SEARCH, ESTALE where there is no such file
 */
export function openByHandle(mount: number, { type, bytes }: FileHandle, flags: number): number {
  const memory = Buffer.alloc(8 + bytes.length);
  memory.writeUInt32LE(bytes.length, 0);
  memory.writeInt32LE(type, 4);
  memory.set(bytes, 8);
  return Number(addon.syscall(NR.open_by_handle_at, mount, memory, flags));
}
