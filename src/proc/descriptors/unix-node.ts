/** The file at the path that is a socket's name. */

import { constants, lstatSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { filePath } from '../../byte-text.js';
import type { UnixSocket } from '../../native/sock-diag.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { isPath, isRelative, isSocketPath, socketPath } from '../../unix-name.js';
import { readProcLink, unlessRefused } from '../read.js';
import { lookThrough } from './folders.js';
import { once } from './once.js';
import type { Target } from './target.js';
import type { UnixView } from './unix-view.js';

const { S_IFMT, S_IFSOCK } = constants;

type Node = OpenFileOf<'unix'>['node'];

/** The files of sockets in a folder, by what the kernel tells of their inodes. */
interface Folder {
  readonly nodes: ReadonlyMap<number, NonNullable<Node>>;
  /** All of it was looked at. */
  readonly complete: boolean;
}

/**
 * Mode and owner of the file that leads to a socket; `null` where it has no path, or another file, or
 * none, is there now. A socket that was accepted has its name from the one that listens.
 */
export function nodeAt(target: Target, socket: UnixSocket, view: UnixView): Node {
  if (!isPath(socket.name) || view.isAccepted(socket)) return null;
  const folder = folderOf(target, socket, view);
  return folder === undefined ? null : nodeIn(target, socket, folder);
}

/**
 * The folder at which the name of a socket starts: `null` for one that is no relative path, `undefined`
 * where it is not known. The kernel does not tell it: the file is looked for in the working directory
 * and wherever the process has a folder open. No file leads to one that was accepted: it has the folder
 * of the socket that listens, or any.
 */
export function folderOf(target: Target, socket: UnixSocket, view: UnixView): string | null | undefined {
  if (!isRelative(socket.name)) return null;
  return once(target, `folder of socket ${socket.inode}`, () => lookForFolder(target, socket, view));
}

function lookForFolder(target: Target, socket: UnixSocket, view: UnixView): string | undefined {
  const folders = once(target, 'folders of relative names', () => foldersOf(target));
  const lies = (one: UnixSocket) => folders.find((folder) => nodeIn(target, one, folder) !== null);
  if (!view.isAccepted(socket)) return lies(socket);
  const bound = view.boundLike(socket);
  return (bound && lies(bound)) ?? folders[0];
}

/** The working directory first. */
function foldersOf({ pid, entries, root }: Target): string[] {
  const folders = entries.filter(({ stat }) => stat.isDirectory()).map(({ link }) => link);
  const isThere = (path: string): boolean =>
    unlessRefused(() => statSync(filePath(root + path)), null) !== null;
  return [...new Set([readProcLink(pid, 'cwd') ?? '/', ...folders])].filter(isThere);
}

/** @param folder at which its name starts */
function nodeIn({ root }: Target, { name, node }: UnixSocket, folder: string | null): Node {
  const stat = unlessRefused(() => statSync(filePath(root + socketPath(name, folder))), null);
  return stat && isSocket(stat) && keyOf(stat) === node ? nodeOf(stat, null) : null;
}

/**
 * The same where the file has another name in its folder by now: servers bind a socket to a temporary
 * path, and move it over the one that clients know.
 * @returns `undefined` if it was not found, and not all of the folder was looked at
 */
export function movedNode(target: Target, socket: UnixSocket, view: UnixView): Node | undefined {
  if (!isPath(socket.name) || view.isAccepted(socket)) return null;
  const start = folderOf(target, socket, view);
  // Of a relative name that leads nowhere nobody knows in which folder it was: a refusal.
  if (start === undefined) return null;
  const folder = dirname(socketPath(socket.name, start));
  const { nodes, complete } = once(target, `sockets in ${folder}`, () => readFolder(folder, target));
  return nodes.get(socket.node!) ?? (complete ? null : undefined);
}

function readFolder(folder: string, target: Target): Folder {
  const nodes = new Map<number, NonNullable<Node>>();
  const complete = lookThrough(target, folder, (entry, path) => {
    if (!entry.isSocket() || !isSocketPath(path)) return false;
    const stat = unlessRefused(() => lstatSync(filePath(target.root + path)), null);
    if (stat && isSocket(stat) && !nodes.has(keyOf(stat))) nodes.set(keyOf(stat), nodeOf(stat, path));
    return false;
  });
  return { nodes, complete };
}

function isSocket({ mode }: Stats): boolean {
  return (mode & S_IFMT) === S_IFSOCK;
}

/** The kernel tells the lower half. */
function keyOf({ ino }: Stats): number {
  return ino % 2 ** 32;
}

function nodeOf({ mode, uid, gid }: Stats, path: string | null): NonNullable<Node> {
  return { mode: mode & 0o7777, uid, gid, path };
}
