/** Reading `/proc`: text files as a whole, with errors that name the process. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { bytesOfText, textOfBytes } from '../byte-text.js';
import { errnoOf } from '../errno.js';
import { PermissionError, TargetError } from '../errors.js';

export { errnoOf };

/** Turns a failed access to a process's `/proc` entry into an error for people. */
export function procError(pid: number, path: string, error: unknown): Error {
  const code = errnoOf(error);
  if (code === 'ENOENT' || code === 'ESRCH')
    return new TargetError(`process ${pid} has ended (${path}: ${code})`);
  if (code === 'EACCES' || code === 'EPERM') {
    return new PermissionError(
      `cannot open ${path}: ${code} (the process belongs to another user, or ptrace is restricted here: run as root, or as its owner)`,
    );
  }
  return error instanceof Error ? error : new Error(String(error));
}

/** What is read where it may be gone, or not permitted: of a process that may have ended, or be another user's. */
export function unlessRefused<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/** Ids of all processes of this pid namespace. */
export function processIds(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Reads `/proc/PID/<name>` as bytes. @throws TargetError, PermissionError */
export function readProc(pid: number, name: string): Buffer {
  const path = `/proc/${pid}/${name}`;
  try {
    return readFileSync(path);
  } catch (error) {
    throw procError(pid, path, error);
  }
}

/** Reads `/proc/PID/<name>` as text, as {@link textOfBytes} makes it. */
export function readProcText(pid: number, name: string): string {
  return textOfBytes(readProc(pid, name));
}

/** Bytes of a long file that are looked at together. */
const PART = 64 << 10;

/**
 * Reads `/proc/PID/<name>` line by line, without ever having all of it in memory.
 * @throws TargetError, PermissionError
 */
export function* readProcLines(pid: number, name: string): Generator<string> {
  const path = `/proc/${pid}/${name}`;
  const guarded = <T>(access: () => T): T => {
    try {
      return access();
    } catch (error) {
      throw procError(pid, path, error);
    }
  };
  const fd = guarded(() => openSync(path, 'r'));
  try {
    let buffer = Buffer.allocUnsafe(PART);
    let held = 0;
    for (;;) {
      const got = guarded(() => readSync(fd, buffer, held, buffer.length - held, null));
      if (got === 0) break;
      held += got;
      const end = buffer.subarray(0, held).lastIndexOf(NEWLINE) + 1;
      yield* linesOf(buffer.subarray(0, end));
      buffer.copy(buffer, 0, end, held);
      held -= end;
      if (held === buffer.length) buffer = Buffer.concat([buffer, Buffer.allocUnsafe(buffer.length)]);
    }
    if (held > 0) yield textOfBytes(buffer.subarray(0, held));
  } finally {
    closeSync(fd);
  }
}

const NEWLINE = 0x0a;

/** Lines of a text that ends with the last of them. */
function* linesOf(bytes: Buffer): Generator<string> {
  const text = textOfBytes(bytes);
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at);
    yield text.slice(at, end);
    at = end + 1;
  }
}

/** In place of a path that has no room in the page by which the kernel tells paths: a program gets there step by step. */
export const LONG_PATH = 'a path of more than 4095 bytes';

/** Where a link of `/proc` leads, as {@link textOfBytes} makes it, or {@link LONG_PATH}. @throws as `readlinkSync` */
export function readLink(path: string): string {
  try {
    return textOfBytes(readlinkSync(path, { encoding: 'buffer' }));
  } catch (error) {
    if (errnoOf(error) === 'ENAMETOOLONG') return LONG_PATH;
    throw error;
  }
}

/** Reads the link `/proc/PID/<name>`; `null` where the link names nothing (kernel threads). */
export function readProcLink(pid: number, name: string): string | null {
  const path = `/proc/${pid}/${name}`;
  try {
    return readLink(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw procError(pid, path, error);
  }
}

/** Undoes the octal escapes (`\012`) by which `/proc` writes paths with odd characters. */
export function unescapePath(path: string): string {
  if (!path.includes('\\')) return path;
  const bytes: number[] = [];
  const raw = bytesOfText(path);
  for (let i = 0; i < raw.length; i++) {
    const octal = raw[i] === 0x5c ? /^[0-7]{3}/.exec(raw.toString('latin1', i + 1, i + 4)) : null;
    bytes.push(octal ? Number.parseInt(octal[0], 8) : raw[i]!);
    if (octal) i += 3;
  }
  return textOfBytes(Buffer.from(bytes));
}
