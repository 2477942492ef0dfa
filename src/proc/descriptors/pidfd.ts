/** pidfd_open(2): the process itself, one of its threads, or another process, which has to be there still. */
import { closeSync, existsSync, fstatSync, readFileSync } from 'node:fs';
import { pidfdOpen } from '../../native/syscalls.js';
import { BOOT_ID, BOOT_ID_SIZE, PIDFD_THREAD } from '../../pidfd.js';
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
    const { info, stat } = entry!;
    const of = Number(infoField(info.text, 'Pid'));
    const thread = of === pid ? null : ownTid(pid, of);
    const isOwn = of === pid || thread !== null;
    const stranger = isOwn ? null : { pid: of, inode: stat.ino, boot: bootId() };
    return { kind: 'pidfd', flags: info.flags, thread, stranger };
  },
};

function strangerProblem({ info, stat }: Entry, pid: number): string | null {
  const of = Number(infoField(info.text, 'Pid') ?? 0);
  if (of === pid || (of > 0 && existsSync(`/proc/${pid}/task/${of}`))) return null;
  const what = info.flags & PIDFD_THREAD ? 'thread' : 'process';
  if (of < 0) return `it refers to a ${what} that has ended, and that nothing can name again`;
  if (of === 0) return `it refers to a ${what} in a namespace that cannot be seen from here`;
  if (hasNumbers(stat.ino)) return null;
  return `it refers to ${what} ${nameOf(of)}, which is not frozen with this one`;
}

/** Whether processes have inodes of their own, as since Linux 6.9: all pidfds had one and the same before. */
function hasNumbers(other: bigint): boolean {
  const own = pidfdOpen(process.pid);
  try {
    return fstatSync(own, { bigint: true }).ino !== other;
  } finally {
    closeSync(own);
  }
}

function bootId(): Uint8Array {
  return Uint8Array.from(readFileSync(BOOT_ID).subarray(0, BOOT_ID_SIZE));
}

/** Threads are made when the epoll sets are filled already. */
function watchedProblem(entry: Entry, { pid, entries }: Target): string | null {
  const of = Number(infoField(entry.info.text, 'Pid'));
  if (of === pid || ownTid(pid, of) === null) return null;
  const set = watcherOf(entry, entries);
  return set === null ? null : `it refers to a thread, and the epoll set on descriptor ${set} watches that`;
}
