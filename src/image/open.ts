import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf } from '../errno.js';
import { ImageError } from '../errors.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it is not readable for you',
  ENOTDIR: 'a part of the path is not a folder',
  ENXIO: 'it is not a file',
};

/**
 * Opens a regular file for reading. Never waits: not for the other end of a FIFO, nor for a terminal.
 * @throws ImageError if it is not there, not readable, or anything but a regular file
 */
export async function openRegular(path: string): Promise<FileHandle> {
  const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;
  let file: FileHandle;
  try {
    file = await open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  } catch (error) {
    const code = errnoOf(error);
    if (!code) throw error;
    throw new ImageError(`cannot read ${path}: ${code}${REASONS[code] ? ` (${REASONS[code]})` : ''}`);
  }
  const stats = await file.stat();
  if (stats.isFile()) return file;
  await file.close();
  throw new ImageError(`${path} is not an image: it is ${stats.isDirectory() ? 'a folder' : 'not a file'}`);
}
