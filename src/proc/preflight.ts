/** What can be said of a process before it is touched: is it one that can be frozen? Reads `/proc` only. */

import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { filePath } from '../byte-text.js';
import { PermissionError, TargetError } from '../errors.js';
import { addon } from '../native/addon.js';
import { isFolderRemoved } from './descriptors/folder.js';
import { commOf } from './identity.js';
import { inodeKey } from './inode.js';
import { surveyUserNamespace } from './namespaces.js';
import { errnoOf, LONG_PATH, processIds, readProcLink, readProcText, unlessRefused } from './read.js';
import { isStarter } from './starter.js';
import { field, numbers, parseStat, parseStatus } from './status.js';
import { surveyThreads } from './threads-apart.js';

const PF_KTHREAD = 0x0020_0000;
const ELFCLASS64 = 2;
const EM_X86_64 = 62;

/** Throws where the process is of a kind that is never frozen. @throws TargetError, PermissionError */
export function assertFreezable(pid: number): void {
  if (!existsSync('/proc/self/stat')) {
    throw new TargetError('/proc is not mounted here: mount it (mount -t proc proc /proc) and try again');
  }
  if (pid === process.pid) throw new TargetError(`process ${pid} is proc2elf itself`);
  if (pid === 1)
    throw new TargetError('process 1 is the init of this system or container: it cannot be frozen');
  if (!existsSync(`/proc/${pid}`)) throw new TargetError(`no process ${pid}`);
  const status = parseStatus(readProcText(pid, 'status'));
  const stat = parseStat(readProcText(pid, 'stat'));
  if (Number(field(status, 'Tgid')) !== pid) {
    throw new TargetError(`${pid} is a thread of process ${field(status, 'Tgid')}: give the process's id`);
  }
  if (stat.flags & PF_KTHREAD) throw new TargetError(`process ${pid} is a kernel thread`);
  if (stat.state === 'X') throw new TargetError(`process ${pid} has ended`);
  if (stat.state === 'Z') throw new TargetError(zombieMessage(pid));
  if (isAncestor(pid)) {
    throw new TargetError(
      `process ${pid} (${field(status, 'Name')}) is an ancestor of proc2elf and waits for it: start proc2elf from elsewhere`,
    );
  }
  assertPermitted(pid, Number(numbers(status, 'Uid')[0]));
  const tracer = Number(field(status, 'TracerPid'));
  if (tracer !== 0) {
    const name = nameOf(tracer);
    throw new TargetError(
      `process ${pid} is traced by process ${tracer}${name ? ` (${name})` : ''}: end that first`,
    );
  }
  assert64Bit(pid);
}

function zombieMessage(pid: number): string {
  const live = readdirSync(`/proc/${pid}/task`).some((tid) => {
    try {
      return parseStat(readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8')).state !== 'Z';
    } catch {
      return false;
    }
  });
  return live
    ? `process ${pid} has lost its first thread (pthread_exit in main), others run on: this cannot be frozen yet`
    : `process ${pid} is a zombie: it has ended and waits for its parent`;
}

/** Whether the process is one of those that wait for this one. */
function isAncestor(pid: number): boolean {
  let current = process.ppid;
  while (current > 1) {
    if (current === pid) return true;
    try {
      current = parseStat(readFileSync(`/proc/${current}/stat`, 'utf8')).parent;
    } catch {
      return false;
    }
  }
  return false;
}

/** Opens what only a permitted tracer may open, so that the refusal comes before anything is done. */
function assertPermitted(pid: number, owner: number): void {
  const path = `/proc/${pid}/mem`;
  try {
    closeSync(openSync(path, 'r'));
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT') throw new TargetError(`process ${pid} has ended`);
    throw new PermissionError(`cannot open ${path}: ${code ?? String(error)} (${permissionAdvice(owner)})`);
  }
}

/** What would let a refused ptrace pass. */
export function permissionAdvice(
  owner: number,
  uid: number = process.getuid?.() ?? 0,
  scope: number = yamaScope(),
): string {
  if (scope >= 3)
    return `nobody may trace here until the next boot (kernel.yama.ptrace_scope=${scope}): boot with another`;
  if (uid === 0)
    return 'root lacks CAP_SYS_PTRACE here, or the process is protected: run with that capability';
  if (uid !== owner) return `the process belongs to user ${owner}: run as that user or as root`;
  if (scope === 2) return 'ptrace is limited to root here (kernel.yama.ptrace_scope=2): run as root';
  if (scope === 1) {
    return 'ptrace is limited to child processes here (kernel.yama.ptrace_scope=1): run as root, or sysctl kernel.yama.ptrace_scope=0';
  }
  return 'the process has made itself undumpable, or gained privileges: run as root';
}

/** kernel.yama.ptrace_scope; 0 where Yama is not there. */
export function yamaScope(): number {
  try {
    return Number(readFileSync('/proc/sys/kernel/yama/ptrace_scope', 'utf8'));
  } catch {
    return 0;
  }
}

function assert64Bit(pid: number): void {
  const header = Buffer.alloc(20);
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/exe`, 'r');
  } catch {
    return; // the program file cannot be opened (a network mount that is gone): the capture tells by cs
  }
  try {
    readSync(fd, header, 0, header.length, 0);
  } finally {
    closeSync(fd);
  }
  if (header.readUInt32BE(0) !== 0x7f454c46) return;
  if (header[4] !== ELFCLASS64 || header.readUInt16LE(18) !== EM_X86_64) {
    throw new TargetError(
      `process ${pid} is a 32-bit program: only 64-bit x86 processes can be frozen for now`,
    );
  }
}

/** The name of a process that may have ended meanwhile. */
function nameOf(pid: number): string | null {
  try {
    return commOf(pid);
  } catch {
    return null;
  }
}

/** Options by which a user lets go of things that cannot be carried. */
export interface Concessions {
  /** Child processes are left out: a wait for them ends with ECHILD. */
  dropChildren: boolean;
  /** Working directory in the image. */
  workingDirectory?: string | undefined;
}

/** Everything about the process as a whole that an image cannot carry, each with what to do. Reads `/proc` only. */
export function surveyProcess(pid: number, concessions: Concessions): string[] {
  const problems: string[] = [];
  const status = parseStatus(readProcText(pid, 'status'));
  const seccomp = Number(status.get('Seccomp') ?? '0');
  if (seccomp !== 0) {
    problems.push(
      `process ${pid} runs under a seccomp ${seccomp === 1 ? 'strict mode' : 'filter'}, which cannot be carried: start it without its sandbox`,
    );
  }
  const children = childrenOf(pid);
  const [thawed] = children;
  if (thawed !== undefined && isStarter(pid, addon.interpreter())) {
    problems.push(
      `process ${pid} has started an image and only waits for the process that it has become: freeze process ${thawed} (${nameOf(thawed) ?? 'ended'})`,
    );
  } else if (!concessions.dropChildren) {
    for (const child of children) {
      problems.push(
        `process ${pid} has a child process, ${child} (${nameOf(child) ?? 'ended'}), which is not carried yet: wait until it has ended, or --drop-children`,
      );
    }
  }
  const root = readProcLink(pid, 'root');
  if (root !== null && root !== '/') {
    problems.push(`process ${pid} has the root directory ${root} (chroot), which cannot be carried`);
  }
  problems.push(...surveyUserNamespace(pid), ...surveyFolder(pid, concessions), ...surveyThreads(pid));
  return problems;
}

/** The working directory is entered by its path, which must lead there from here, too. */
function surveyFolder(pid: number, { workingDirectory }: Concessions): string[] {
  if (workingDirectory !== undefined) return [];
  const path = readProcLink(pid, 'cwd');
  if (path === null) return [];
  if (path === LONG_PATH)
    return [`process ${pid} has a working directory with ${path}: --cwd DIR gives it another`];
  const own = identityOf(`/proc/${pid}/cwd`);
  if (own === null || own === identityOf(path)) return [];
  if (unlessRefused(() => isFolderRemoved(pid), false)) return [];
  const why = path.endsWith(' (deleted)') ? 'that is gone' : 'to which its path does not lead from here';
  return [`process ${pid} has a working directory ${why}, ${path}: --cwd DIR gives it another`];
}

/** Device and inode number of a file; `null` if nobody can tell. */
function identityOf(path: string): string | null {
  try {
    return inodeKey(statSync(filePath(path), { bigint: true }));
  } catch {
    return null;
  }
}

/** Pids of the children of all threads, from `/proc/PID/task/TID/children`, else by a look at every process. */
export function childrenOf(pid: number): number[] {
  const children = new Set<number>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    let text: string;
    try {
      text = readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8');
    } catch (error) {
      if (existsSync(`/proc/${pid}/task/${pid}/children`)) continue; // the thread ended
      if (errnoOf(error) === 'ENOENT') return childrenByParent(pid);
      continue;
    }
    for (const child of text.split(' ').filter(Boolean)) children.add(Number(child));
  }
  return [...children].sort((a, b) => a - b);
}

/** Kernels without CONFIG_PROC_CHILDREN. */
function childrenByParent(pid: number): number[] {
  return processIds().filter((candidate) => {
    try {
      return parseStat(readFileSync(`/proc/${candidate}/stat`, 'utf8')).parent === pid;
    } catch {
      return false;
    }
  });
}
