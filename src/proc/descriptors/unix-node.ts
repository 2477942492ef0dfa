/** The file at the path that is a socket's name. */
import { constants, lstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { UnixSocket } from '../../native/sock-diag.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { isPath, isSocketPath } from '../../unix-name.js';
import type { UnixView } from './unix-view.js';

const { S_IFMT, S_IFSOCK } = constants;

/**
 * Mode and owner of the file that leads to a socket; `null` where it has no path, or another file, or
 * none, is there now. A socket that was accepted has its name from the one that listens.
 * @param root prefix by which the process's paths are seen from here
 */
export function nodeAt(root: string, socket: UnixSocket, view: UnixView): OpenFileOf<'unix'>['node'] {
  if (!isPath(socket.name) || view.isAccepted(socket)) return null;
  return nodeOf(() => statSync(root + nameOf(socket)), socket, null);
}

/**
 * The same where the file has another name in its folder by now: servers bind a socket to a temporary
 * path, and move it over the one that clients know.
 */
export function movedNode(root: string, socket: UnixSocket, view: UnixView): OpenFileOf<'unix'>['node'] {
  if (!isPath(socket.name) || view.isAccepted(socket)) return null;
  const folder = dirname(nameOf(socket));
  for (const name of socketsIn(root + folder)) {
    const path = join(folder, name);
    const node = isSocketPath(path) ? nodeOf(() => lstatSync(root + path), socket, path) : null;
    if (node) return node;
  }
  return null;
}

function nameOf({ name }: UnixSocket): string {
  return Buffer.from(name).toString('utf8');
}

function socketsIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
      entry.isSocket() ? [entry.name] : [],
    );
  } catch {
    return [];
  }
}

/** What a file says, if it is that of the socket. */
function nodeOf(look: () => Stats, socket: UnixSocket, path: string | null): OpenFileOf<'unix'>['node'] {
  let found: Stats;
  try {
    found = look();
  } catch {
    return null;
  }
  if ((found.mode & S_IFMT) !== S_IFSOCK) return null;
  // The kernel tells the lower half.
  if (found.ino % 2 ** 32 !== socket.node) return null;
  return { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid, path };
}
