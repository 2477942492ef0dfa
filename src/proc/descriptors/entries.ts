/** `/proc/PID/fd`: every descriptor with its link, its stat and its fdinfo. */
import {
  type BigIntStats,
  closeSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statSync,
} from 'node:fs';
import { socketProtocol } from '../../native/inet.js';
import { errnoOf, procError } from '../read.js';
import { type FdInfo, parseFdInfo } from './fdinfo.js';

/** An open descriptor as seen from outside. */
export interface Entry {
  readonly fd: number;
  /** Target of the link `/proc/PID/fd/N`: a path, `pipe:[123]`, `anon_inode:[eventfd]`. */
  readonly link: string;
  /** The link is not UTF-8: `link` is not the true name. */
  readonly garbled: boolean;
  readonly stat: BigIntStats;
  readonly info: FdInfo;
  /** Of a socket, what the kernel calls its protocol: `TCP`, `UDPv6`; else `null`. */
  readonly protocol: string | null;
}

const REPLACEMENT = '\ufffd';

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
      const path = `${folder}/${fd}`;
      try {
        const link = readlinkSync(path);
        return [
          {
            fd,
            link,
            garbled: link.includes(REPLACEMENT) && isGarbled(path),
            stat: statSync(path, { bigint: true }),
            info: parseFdInfo(reader.read(`/proc/${pid}/fdinfo/${fd}`)),
            protocol: link.startsWith('socket:') ? socketProtocol(path) : null,
          },
        ];
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return [];
        throw procError(pid, path, error);
      }
    });
}

/** Whether the bytes of a link are not what its text says. */
function isGarbled(path: string): boolean {
  const raw = readlinkSync(path, { encoding: 'buffer' });
  return !Buffer.from(raw.toString('utf8')).equals(raw);
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
