/** Files of `/sys` and of control groups that tell by poll(2) of changes since they were read. */
import { closeSync, openSync, readSync } from 'node:fs';
import { O } from '../../fcntl.js';
import { Poll, pollNow } from '../../native/sockets.js';
import { MOST_SEEN } from '../../snapshot/kinds/file.js';
import { unlessRefused } from '../read.js';
import { type Entry, linkOf } from './entries.js';
import { fileSystemOf } from './file-systems.js';
import type { KindContext } from './kind.js';

/** File systems made of kernfs, from `linux/magic.h`. */
const KERNFS: ReadonlySet<number> = new Set([
  0x62656572, // sysfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
]);

/**
 * What such a file holds where the process has read it, and there is nothing of which it would be told; `undefined`
 * where it is told something, as of any such file that was just opened. To ask takes nothing away. A file is read only
 * if the process has, as to read may do something; and not by its description, which would take what comes then.
 */
export function seenOf(entry: Entry, { pid, withCopy }: KindContext): Uint8Array | undefined {
  if (entry.info.flags & O.PATH || !KERNFS.has(fileSystemOf(pid, entry))) return undefined;
  return withCopy(entry.fd, (copy) => {
    if (isTold(copy)) return undefined;
    const content = unlessRefused(() => contentOf(linkOf(pid, entry)), undefined);
    return isTold(copy) ? undefined : content;
  });
}

function isTold(fd: number): boolean {
  return (pollNow(fd) & (Poll.PRI | Poll.ERR)) !== 0;
}

/** All of it; `undefined` if it is long. */
function contentOf(path: string): Uint8Array | undefined {
  const fd = openSync(path, O.RDONLY | O.NONBLOCK | O.CLOEXEC);
  try {
    const content = new Uint8Array(MOST_SEEN + 1);
    const length = readSync(fd, content, 0, content.length, 0);
    return length > MOST_SEEN ? undefined : content.slice(0, length);
  } finally {
    closeSync(fd);
  }
}
