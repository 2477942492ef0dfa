/** Files of `/proc` that tell of changes by poll(2), once: of mounts, of swap space, of RAID. */
import { closeSync, openSync } from 'node:fs';
import { O } from '../../fcntl.js';
import { lookInto } from '../../kernel/open.js';
import { hasNews } from '../../kernel/seq-events.js';
import { unlessRefused } from '../read.js';
import { type Entry, linkOf } from './entries.js';
import type { KindContext } from './kind.js';

/** Those that do so; the first two of any process. */
const TELLS_NEWS = /^\/proc\/(\d+\/(task\/\d+\/)?(mounts|mountinfo)|swaps|mdstat)$/;

/** Warns of a change of which the process was not told: a file that is opened again tells of what comes after that. */
export function warnOfNews(entry: Entry, { pid, withCopy, warnings }: KindContext): void {
  const { fd, link, info } = entry;
  if (info.flags & O.PATH || !TELLS_NEWS.test(link)) return;
  const lost = 'a change of which the process has not been told yet (poll)';
  const name = `descriptor ${fd} (file, ${link})`;
  withCopy(fd, (copy) => {
    const fresh = unlessRefused(() => openSync(linkOf(pid, entry), O.RDONLY | O.CLOEXEC), null);
    if (fresh === null) return;
    try {
      const warning = lookInto<string | null>(
        (kernel) => (hasNews(kernel, copy, fresh) ? `${name}: ${lost} is lost` : null),
        (why) => `${name}: ${lost} would be lost, and whether there is one is not known, as ${why}`,
      );
      if (warning !== null) warnings.push(warning);
    } finally {
      closeSync(fresh);
    }
  });
}
