/** `/proc/PID/fdinfo/N`, as proc_pid_fdinfo(5) and the kernel's filesystems/proc.rst describe it. */
import { O } from '../../fcntl.js';
import type { FileLock } from '../../snapshot/descriptors.js';

/** What every descriptor tells of itself. */
export interface FdInfo {
  readonly offset: bigint;
  /** Access mode and status flags of the open file description. */
  readonly flags: number;
  readonly closeOnExec: boolean;
  /** All of it, for what only some kinds have. */
  readonly text: string;
}

/** Parses the whole file. */
export function parseFdInfo(text: string): FdInfo {
  const flags = Number.parseInt(infoField(text, 'flags') ?? '0', 8);
  return {
    // That of /proc/PID/mem is an address, and may be negative.
    offset: BigInt.asUintN(64, BigInt(infoField(text, 'pos') ?? 0)),
    flags: flags & ~O.CLOEXEC,
    closeOnExec: (flags & O.CLOEXEC) !== 0,
    text,
  };
}

/** The value behind `name:`, or `null` where this kernel or kind has no such line. */
export function infoField(text: string, name: string): string | null {
  const label = `${name}:`;
  let start = text.startsWith(label) ? 0 : text.indexOf(`\n${label}`);
  if (start < 0) return null;
  if (start > 0) start++;
  const end = text.indexOf('\n', start);
  return text.slice(start + label.length, end < 0 ? undefined : end).trim();
}

/** A member of an epoll set. */
export interface EpollLine {
  readonly fd: number;
  readonly events: number;
  readonly data: bigint;
  /** Inode of the watched file; `null` before Linux 4.13. */
  readonly inode: bigint | null;
  /** Device of its file system, as stat(2) tells it. */
  readonly device: bigint | null;
}

const EPOLL_LINE =
  /^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)(?:.* ino:\s*([0-9a-f]+) sdev:\s*([0-9a-f]+))?/;

/** The `tfd:` lines of an epoll set, in the kernel's order. */
export function parseEpollLines(text: string): EpollLine[] {
  return text.split('\n').flatMap((line) => {
    const match = EPOLL_LINE.exec(line);
    if (!match) return [];
    const [, fd, events, data, inode, device] = match;
    return [
      {
        fd: Number(fd),
        events: Number.parseInt(events!, 16),
        data: BigInt(`0x${data}`),
        inode: inode === undefined ? null : BigInt(`0x${inode}`),
        device: device === undefined ? null : statDevice(BigInt(`0x${device}`)),
      },
    ];
  });
}

/** A device as the kernel has it, with 20 bits for the minor number, as stat(2) tells it: with 8, and the rest on top. */
function statDevice(device: bigint): bigint {
  const [major, minor] = [device >> 20n, device & 0xfffffn];
  return (minor & 0xffn) | (major << 8n) | ((minor & ~0xffn) << 12n);
}

/** A lock, or what stands among the locks and is none that could be taken again. */
export type LockLine =
  | FileLock
  /** `broken`: somebody waits for it to end. */
  | { readonly type: 'lease'; readonly write: boolean; readonly broken: boolean }
  | { readonly type: 'unknown'; readonly line: string };

const LOCK_TYPES: Readonly<Record<string, FileLock['type']>> = {
  POSIX: 'posix',
  OFDLCK: 'ofd',
  FLOCK: 'flock',
};

/**
 * The `lock:` lines, for instance `lock: 1: POSIX  ADVISORY  WRITE 4242 08:01:1234 0 EOF`. POSIX
 * locks show with every descriptor of the process on that file, the others with their own.
 */
export function parseLockLines(text: string): LockLine[] {
  if (!text.includes('\nlock:')) return [];
  return text.split('\n').flatMap((line): LockLine[] => {
    if (!line.startsWith('lock:')) return [];
    const [, , type, state, access, , , first, last] = line.split(/\s+/);
    const known = LOCK_TYPES[type ?? ''];
    if (known && (access === 'READ' || access === 'WRITE')) {
      const end = last === 'EOF' ? null : BigInt(last!);
      return [{ type: known, write: access === 'WRITE', first: BigInt(first!), last: end }];
    }
    if (type === 'LEASE') return [{ type: 'lease', write: access === 'WRITE', broken: state !== 'ACTIVE' }];
    return [{ type: 'unknown', line: line.slice('lock:'.length).trim() }];
  });
}
