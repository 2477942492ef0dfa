import { constants, renameSync } from 'node:fs';
import { type FileHandle, lstat, open, readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { errnoOf } from '../errno.js';
import { PermissionError, UsageError } from '../errors.js';
import { checkFileSystem, readFileSystem } from './file-system.js';
import { loadNative } from './native.js';
import type { Output, OutputOptions } from './output.js';
import { outputError } from './output-error.js';
import { openTemporary, type Temporary, within } from './temporary.js';

/** Links that the kernel follows at most. */
const MAX_LINKS = 40;

/** Read, write and run, for the owner alone: an image holds all that the process had in memory. */
const IMAGE_MODE = 0o700;

/** A file as the place for an image. Until it is whole it has no name, or one that nobody guesses. */
export async function fileOutput(path: string, options: OutputOptions): Promise<Output> {
  const native = options.native ?? (await loadNative());
  let directory: FileHandle | undefined;
  try {
    if (path.endsWith('/') || path === '') throw new UsageError(`cannot write "${path}": name a file`);
    directory = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
    const replaces = await checkTarget(path, directory);
    const temporary = await openTemporary(native, directory, basename(path), IMAGE_MODE);
    try {
      // The mode that was given to open() went through the umask.
      await temporary.file.chmod(IMAGE_MODE);
      const fileSystem = readFileSystem(native, temporary.file.fd);
      checkFileSystem(fileSystem, path, options.needed ?? 0);
      const durable = options.durable === true || replaces || !fileSystem.local;
      return new FileOutput(path, directory, temporary, durable);
    } catch (error) {
      await temporary.remove();
      throw error;
    }
  } catch (error) {
    await directory?.close();
    throw outputError(path, error, options.needed);
  }
}

class FileOutput implements Output {
  readonly path: string;
  readonly stream = false;
  readonly fd: number;
  readonly durable: boolean;
  readonly #directory: FileHandle;
  readonly #temporary: Temporary;
  #done = false;

  constructor(path: string, directory: FileHandle, temporary: Temporary, durable: boolean) {
    this.path = path;
    this.durable = durable;
    this.fd = temporary.file.fd;
    this.#directory = directory;
    this.#temporary = temporary;
  }

  async commit(signal?: AbortSignal): Promise<number> {
    try {
      const { file } = this.#temporary;
      const durable = this.durable || (await checkTarget(this.path, this.#directory));
      if (durable) await file.sync();
      const { blocks } = await file.stat();
      await checkTarget(this.path, this.#directory);
      signal?.throwIfAborted();
      const name = await this.#temporary.name();
      // At once: who kills us in between leaves the temporary name.
      renameSync(within(this.#directory, name), within(this.#directory, basename(this.path)));
      this.#done = true;
      await file.close();
      if (durable) await this.#directory.sync();
      await this.#directory.close();
      return blocks * 512;
    } catch (error) {
      await this.discard();
      throw outputError(this.path, error);
    }
  }

  async discard(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    await this.#temporary.remove();
    await this.#directory.close();
  }
}

/**
 * Whatever has the final name already: replaced if it is a file or a link to one, refused otherwise.
 * @returns whether there is something to replace
 */
async function checkTarget(path: string, directory: FileHandle): Promise<boolean> {
  const place = within(directory, basename(path));
  const present = await lstat(place).catch(ignoreMissing);
  if (!present) return false;
  const target = present.isSymbolicLink() ? await stat(place).catch(ignoreMissing) : present;
  if (target?.isDirectory())
    throw new PermissionError(`cannot write ${path}: it is a folder: name a file in it`);
  if (target && !target.isFile()) {
    throw new PermissionError(`cannot write ${path}: it is not a file; to stream the image use -o -`);
  }
  if (present.isSymbolicLink() && (await leadsIntoProc(path))) {
    throw new PermissionError(
      `cannot write ${path}: it leads into /proc, not to a file; to stream the image use -o -`,
    );
  }
  const parent = await directory.stat();
  const uid = process.geteuid?.() ?? 0;
  const sticky = (parent.mode & 0o1000) !== 0;
  if (sticky && uid !== 0 && uid !== parent.uid && uid !== present.uid) {
    throw new PermissionError(`cannot write ${path}: it exists and belongs to another user`);
  }
  return true;
}

/**
 * Whether a link leads into `/proc`, as /dev/stdout does: it stands for a descriptor of whoever opens it.
 * To replace such a link is never meant, and would break it for everybody.
 */
async function leadsIntoProc(path: string): Promise<boolean> {
  let at = resolve(path);
  for (let links = 0; links < MAX_LINKS; links++) {
    const folder = await realpath(dirname(at)).catch(ignoreMissing);
    if (folder === undefined) return false;
    if (`${folder}/`.startsWith('/proc/')) return true;
    const next = await readlink(join(folder, basename(at))).catch(() => undefined);
    if (next === undefined) return false;
    at = resolve(folder, next);
  }
  return false;
}

function ignoreMissing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
}
