/** Names of Unix domain sockets. */
import { join } from 'node:path/posix';
import { bytesOfText, textOfBytes } from './byte-text.js';

const SLASH = 0x2f;

/**
 * A name as text, as {@link textOfBytes} makes it: the path, or, as ss(8) and /proc/net/unix show it, `@name` for an abstract one.
 * @param name `sun_path` without the NUL behind a path
 */
export function socketName(name: Uint8Array): string {
  const text = textOfBytes(name);
  return isAbstract(name) ? text.replaceAll('\0', '@') : text;
}

/** Whether it is a name in the abstract namespace, where there are no files. */
export function isAbstract(name: Uint8Array): boolean {
  return name.length > 0 && name[0] === 0;
}

/** Whether it is a path in the file system. */
export function isPath(name: Uint8Array): boolean {
  return name.length > 0 && name[0] !== 0;
}

/** Whether it is a path that starts at a folder: the one in which the process was when it bound the socket. */
export function isRelative(name: Uint8Array): boolean {
  return isPath(name) && name[0] !== SLASH;
}

/** The path of a socket's file. @param folder at which the name starts, if it is relative */
export function socketPath(name: Uint8Array, folder: string | null): string {
  return folder === null ? socketName(name) : join(folder, socketName(name));
}

/** Whether a path can be that of a socket: absolute, and no longer than `sun_path` takes, in bytes. */
export function isSocketPath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && bytesOfText(path).length < 108;
}
