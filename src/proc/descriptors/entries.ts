/** `/proc/PID/fd`: every descriptor with its link, its stat and its fdinfo. */
import { type BigIntStats, closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { O } from '../../fcntl.js';
import { socketProtocol } from '../../native/inet.js';
import type { ProcessDescriptor } from '../../native/syscalls.js';
import { errnoOf, procError, readLink } from '../read.js';
import { type FdInfo, parseFdInfo } from './fdinfo.js';

/** An open descriptor as seen from outside. */
export interface Entry {
  /** Its number; of one that is on its way in a socket and has none, a number from {@link FIRST_IN_FLIGHT} on. */
  readonly fd: number;
  /** Of one that is on its way in a socket (SCM_RIGHTS). */
  readonly flight?: {
    /** A duplicate of ours. */
    readonly copy: number;
    /** The descriptor of the process by which it was found: that of the socket, or of the one that carries the socket. */
    readonly carrier: number;
    /** The user lets go of the socket, and of what it carries with it. */
    readonly letGo: boolean;
  };
  /** Target of the link `/proc/PID/fd/N`: a path, as `textOfBytes` makes it, `pipe:[123]`, `anon_inode:[eventfd]`. */
  readonly link: string;
  readonly stat: BigIntStats;
  readonly info: FdInfo;
  /** Of a socket that is not merely referred to (O_PATH), what the kernel calls its protocol: `TCP`, `UDPv6`; else `null`. */
  readonly protocol: string | null;
}

/** No descriptor has such a number. */
export const FIRST_IN_FLIGHT = 2 ** 31;

/** Where a description can be looked at: a process, and its descriptor there. */
export function placeOf(pid: number, { fd, flight }: Entry): ProcessDescriptor {
  return flight ? { pid: process.pid, fd: flight.copy } : { pid, fd };
}

/** The link that leads to its file. */
export function linkOf(pid: number, entry: Entry): string {
  return entry.flight ? `/proc/self/fd/${entry.flight.copy}` : `/proc/${pid}/fd/${entry.fd}`;
}

/** `descriptor 7`, for messages. */
export function nameOf({ fd, flight }: Entry): string {
  return flight ? `what is on its way in descriptor ${flight.carrier}` : `descriptor ${fd}`;
}

/**
 * All descriptors, ascending. One that is closed meanwhile, in a process that runs, is left out.
 * @throws TargetError, PermissionError
 */
export function readEntries(pid: number): Entry[] {
  const folder = `/proc/${pid}/fd`;
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw procError(pid, folder, error);
  }
  const reader = new SmallFileReader();
  return names
    .map(Number)
    .sort((a, b) => a - b)
    .flatMap((fd): Entry[] => {
      try {
        return [readEntry(pid, fd, reader)];
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return [];
        throw procError(pid, `${folder}/${fd}`, error);
      }
    });
}

function readEntry(pid: number | 'self', fd: number, reader: SmallFileReader): Entry {
  const path = `/proc/${pid}/fd/${fd}`;
  const link = readLink(path);
  const info = parseFdInfo(reader.read(`/proc/${pid}/fdinfo/${fd}`));
  return {
    fd,
    link,
    stat: statSync(path, { bigint: true }),
    info,
    protocol: link.startsWith('socket:') && !(info.flags & O.PATH) ? socketProtocol(path) : null,
  };
}

/**
 * One that is on its way in a socket, by a duplicate of ours.
 * @param fd a number for it, from {@link FIRST_IN_FLIGHT} on
 */
export function readInFlight(fd: number, flight: NonNullable<Entry['flight']>): Entry {
  return { ...readEntry('self', flight.copy, new SmallFileReader()), fd, flight };
}

/** Reads many small files of `/proc` into one buffer: several times as fast as `readFileSync`. */
class SmallFileReader {
  #buffer = Buffer.alloc(65536);

  read(path: string): string {
    const fd = openSync(path, 'r');
    try {
      let length = 0;
      for (;;) {
        const got = readSync(fd, this.#buffer, length, this.#buffer.length - length, null);
        if (got === 0) return this.#buffer.toString('latin1', 0, length);
        length += got;
        if (length === this.#buffer.length) this.#grow();
      }
    } finally {
      closeSync(fd);
    }
  }

  /** An epoll set with many members has a long file. */
  #grow(): void {
    const larger = Buffer.alloc(this.#buffer.length * 2);
    this.#buffer.copy(larger);
    this.#buffer = larger;
  }
}
