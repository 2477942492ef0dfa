import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { AT_FDCWD, O } from '../fcntl.js';
import type { Native } from './native.js';

const SYS_LINKAT = 265;
const AT_SYMLINK_FOLLOW = 0x400;

/** Bytes of a file name that leave room for what the temporary name adds, within NAME_MAX 255. */
const STEM = 200;

/** A file on its way to a name. */
export interface Temporary {
  readonly file: FileHandle;
  /** Its name in the folder; it gets one if it has none. */
  name(): Promise<string>;
  /** Closes it, and removes it if it has a name. */
  remove(): Promise<void>;
}

/** Path of a name in an open folder: stays right if the folder is moved meanwhile. */
export function within(directory: FileHandle, name: string): string {
  return `/proc/self/fd/${directory.fd}/${name}`;
}

/**
 * Opens a new file in a folder. Where the file system can (`O_TMPFILE`) it has no name, so that
 * nothing stays behind even if this program is killed; elsewhere it has a name that nobody guesses.
 * @param base the name that it will have in the end
 */
export async function openTemporary(
  native: Native,
  directory: FileHandle,
  base: string,
  mode: number,
): Promise<Temporary> {
  const name = `.${cut(base)}.${randomBytes(8).toString('hex')}.tmp`;
  const unnamed = await openUnnamed(directory, mode);
  const file = unnamed ?? (await openNamed(within(directory, name), mode));
  let named = !unnamed;
  return {
    file,
    async name() {
      if (!named) link(native, file, directory, name);
      named = true;
      return name;
    },
    async remove() {
      await file.close();
      if (named) await unlink(within(directory, name)).catch(() => undefined);
    },
  };
}

async function openUnnamed(directory: FileHandle, mode: number): Promise<FileHandle | undefined> {
  try {
    return await open(`/proc/self/fd/${directory.fd}`, O.TMPFILE | constants.O_RDWR, mode);
  } catch {
    // Not every file system can; what else is wrong shows when the file is opened by name.
    return undefined;
  }
}

function openNamed(path: string, mode: number): Promise<FileHandle> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
  return open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, mode);
}

function link(native: Native, file: FileHandle, directory: FileHandle, name: string): void {
  const from = Buffer.from(`/proc/self/fd/${file.fd}\0`);
  const to = Buffer.from(`${name}\0`);
  native.syscall(SYS_LINKAT, AT_FDCWD, from, directory.fd, to, AT_SYMLINK_FOLLOW);
}

/** At most STEM bytes of a name, whole characters. */
function cut(name: string): string {
  let text = name;
  while (Buffer.byteLength(text) > STEM) text = text.slice(0, -1);
  return text;
}
