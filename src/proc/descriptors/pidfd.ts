/**
 * pidfd_open(2): the process itself, one of its threads, or another process, which has to be there still; or one that
 * has ended, whoever it was.
 */
import { closeSync, existsSync, fstatSync, readFileSync } from 'node:fs';
import { endOf } from '../../native/pidfd.js';
import { pidfdOpen } from '../../native/syscalls.js';
import { BOOT_ID, BOOT_ID_SIZE, isEnd, PIDFD_THREAD } from '../../pidfd.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import { watcherOf } from './epoll.js';
import { infoField } from './fdinfo.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { warnOfAttributes } from './memory.js';
import { Refusal } from './refusal.js';
import type { Target } from './target.js';
import { nameOf, ownTid } from './threads.js';

type Pidfd = OpenFileOf<'pidfd'>;

const UNSEEN = 'in a namespace that cannot be seen from here';

/** Descriptors that name a process or thread. */
export const pidfd: DescriptorKind = {
  matches: ({ link }) => link === 'anon_inode:[pidfd]' || link.startsWith('pidfd:'),
  describe: ({ link }) => `pidfd, ${link}`,
  problem: (entry, target) => strangerProblem(entry, target.pid) ?? watchedProblem(entry, target),
  capture: ({ entries: [entry] }, context) => {
    const { info, stat } = entry!;
    const { pid } = context;
    const of = Number(infoField(info.text, 'Pid'));
    const common = { kind: 'pidfd' as const, flags: info.flags };
    if (of < 0) return { ...common, thread: null, stranger: null, ended: captureEnd(entry!, context) };
    const thread = of === pid ? null : ownTid(pid, of);
    const isOwn = of === pid || thread !== null;
    const stranger = isOwn ? null : { pid: of, inode: stat.ino, boot: bootId() };
    if (isOwn) context.withCopy(entry!.fd, (copy) => warnOfAttributes(entry!, copy, context));
    return { ...common, thread, stranger, ended: null };
  },
};

function strangerProblem({ info, stat }: Entry, pid: number): string | null {
  const of = Number(infoField(info.text, 'Pid') ?? 0);
  if (of === pid || (of > 0 && existsSync(`/proc/${pid}/task/${of}`))) return null;
  if (of < 0) return null;
  const what = whatOf(info);
  if (of === 0) return `it refers to a ${what} ${UNSEEN}`;
  if (hasNumbers(stat.ino)) return null;
  return `it refers to ${what} ${nameOf(of)}, which is not frozen with this one`;
}

function whatOf({ flags }: Entry['info']): string {
  return flags & PIDFD_THREAD ? 'thread' : 'process';
}

/** @throws Refusal for an end that cannot be brought about again */
function captureEnd(entry: Entry, context: KindContext): Pidfd['ended'] {
  const inode = hasNumbers(entry.stat.ino) ? entry.stat.ino : null;
  return context.withCopy(entry.fd, (copy) => {
    warnOfAttributes(entry, copy, context);
    const end = lookAtEnd(copy, whatOf(entry.info));
    if (end === null) return { exit: null, inode };
    if (end.dump !== 0 || !isEnd(end.exit)) {
      const how = `0x${end.exit.toString(16)}${end.dump ? `, dump 0x${end.dump.toString(16)}` : ''}`;
      throw new Refusal(
        `it refers to a ${whatOf(entry.info)} that ended in a way that is not brought about again, as by a core dump (${how})`,
      );
    }
    return { exit: end.exit, inode };
  });
}

function lookAtEnd(copy: number, what: string): ReturnType<typeof endOf> {
  try {
    return endOf(copy);
  } catch (error) {
    if (errnoOf(error) !== 'EREMOTE') throw error;
    throw new Refusal(`it refers to a ${what} ${UNSEEN}`);
  }
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
