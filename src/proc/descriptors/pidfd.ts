/** pidfd_open(2): the process itself, or one of its threads. Other processes stay behind. */
import { existsSync } from 'node:fs';
import { PIDFD_THREAD } from '../../pidfd.js';
import type { Entry } from './entries.js';
import { watcherOf } from './epoll.js';
import { infoField } from './fdinfo.js';
import type { DescriptorKind } from './kind.js';
import type { Target } from './target.js';
import { nameOf, ownTid } from './threads.js';

/** Descriptors that name a process or thread. */
export const pidfd: DescriptorKind = {
  matches: ({ link }) => link === 'anon_inode:[pidfd]' || link.startsWith('pidfd:'),
  describe: ({ link }) => `pidfd, ${link}`,
  problem: (entry, target) => strangerProblem(entry, target.pid) ?? watchedProblem(entry, target),
  capture: ({ entries: [entry] }, { pid }) => {
    const { info } = entry!;
    const of = Number(infoField(info.text, 'Pid'));
    return { kind: 'pidfd', flags: info.flags, thread: of === pid ? null : ownTid(pid, of)! };
  },
};

function strangerProblem({ info }: Entry, pid: number): string | null {
  const of = Number(infoField(info.text, 'Pid') ?? 0);
  if (of === pid || (of > 0 && existsSync(`/proc/${pid}/task/${of}`))) return null;
  const what = info.flags & PIDFD_THREAD ? 'thread' : 'process';
  if (of < 0) return `it refers to a ${what} that has ended, and that nothing can name again`;
  if (of === 0) return `it refers to a ${what} in a namespace that cannot be seen from here`;
  return `it refers to ${what} ${nameOf(of)}, which is not frozen with this one`;
}

/** Threads are made when the epoll sets are filled already. */
function watchedProblem(entry: Entry, { pid, entries }: Target): string | null {
  if (Number(infoField(entry.info.text, 'Pid')) === pid) return null;
  const set = watcherOf(entry, entries);
  return set === null ? null : `it refers to a thread, and the epoll set on descriptor ${set} watches that`;
}
