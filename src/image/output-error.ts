import { errnoOf } from '../errno.js';
import { PermissionError } from '../errors.js';
import { formatSize } from './sizes.js';

/** What an errno means for someone who wants to write an image, and what helps. */
const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the file system',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'larger than the file system or the file size limit (ulimit -f) allows',
  EROFS: 'the file system is mounted read-only: choose another folder',
  ENOENT: 'the folder does not exist, or takes no files',
  ENOTDIR: 'a part of the path is not a folder',
  EACCES: 'the folder is not writable for you',
  EPERM: 'not permitted in that folder',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'too many symbolic links',
  EISDIR: 'it is a folder: name a file in it',
  EPIPE: 'whoever read it has ended',
  EIO: 'the device reports an error',
};

/**
 * An error of writing, for people. Errors that are not the kernel's come back as they are.
 * @param needed bytes that the image takes, said where space is short
 */
export function outputError(path: string, error: unknown, needed = 0): unknown {
  const code = errnoOf(error);
  if (!code) return error;
  const hint = HINTS[code];
  const space =
    needed > 0 && /^(ENOSPC|EDQUOT|EFBIG)$/.test(code) ? `; ${formatSize(needed)} are needed` : '';
  return new PermissionError(`cannot write ${path}: ${code}${hint ? ` (${hint}${space})` : ''}`, {
    cause: error,
  });
}
