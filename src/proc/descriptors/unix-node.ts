/** The file at the path that is a socket's name. */
import { constants, type Stats, statSync } from 'node:fs';
import type { UnixSocket } from '../../native/sock-diag.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { isPath } from '../../unix-name.js';
import type { UnixView } from './unix-view.js';

const { S_IFMT, S_IFSOCK } = constants;

/**
 * Mode and owner of the file that leads to a socket; `null` where it has no path, or another file, or
 * none, is there now. A socket that was accepted has its name from the one that listens.
 * @param root prefix by which the process's paths are seen from here
 */
export function nodeAt(root: string, socket: UnixSocket, view: UnixView): OpenFileOf<'unix'>['node'] {
  if (!isPath(socket.name) || view.isAccepted(socket)) return null;
  let found: Stats;
  try {
    found = statSync(root + Buffer.from(socket.name).toString('utf8'));
  } catch {
    return null;
  }
  if ((found.mode & S_IFMT) !== S_IFSOCK) return null;
  // The kernel tells the lower half.
  if (found.ino % 2 ** 32 !== socket.node) return null;
  return { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid };
}
