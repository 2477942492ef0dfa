/** Who the process is: command line, limits, credentials and the like, all from `/proc`. */
import { textOfBytes } from '../byte-text.js';
import type { Credentials, Process } from '../snapshot/schema.js';
import { readProc, readProcLink, readProcText } from './read.js';
import { field, hex, numbers, parseStat, parseStatus, type Status } from './status.js';

/** `RLIMIT_*` numbers of asm-generic/resource.h in the order of `/proc/PID/limits`. */
const LIMITS: readonly (readonly [string, number])[] = [
  ['Max cpu time', 0],
  ['Max file size', 1],
  ['Max data size', 2],
  ['Max stack size', 3],
  ['Max core file size', 4],
  ['Max resident set', 5],
  ['Max processes', 6],
  ['Max open files', 7],
  ['Max locked memory', 8],
  ['Max address space', 9],
  ['Max file locks', 10],
  ['Max pending signals', 11],
  ['Max msgqueue size', 12],
  ['Max nice priority', 13],
  ['Max realtime priority', 14],
  ['Max realtime timeout', 15],
];
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

/** Parses `/proc/PID/limits`. */
export function parseLimits(text: string): Process['limits'] {
  const limits: Process['limits'] = [];
  for (const line of text.split('\n')) {
    const row = LIMITS.find(([name]) => line.startsWith(name));
    if (!row) continue;
    const [soft, hard] = line.slice(26).trim().split(/\s+/);
    const value = (word: string | undefined): bigint =>
      word === 'unlimited' ? RLIM_INFINITY : BigInt(word ?? 0);
    limits.push({ resource: row[1], soft: value(soft), hard: value(hard) });
  }
  return limits;
}

/** Credentials from a status file; secure bits come from the query. */
export function parseCredentials(status: Status, secureBits: number): Credentials {
  return {
    uids: numbers(status, 'Uid'),
    gids: numbers(status, 'Gid'),
    groups: numbers(status, 'Groups'),
    capabilities: {
      inheritable: hex(status, 'CapInh'),
      permitted: hex(status, 'CapPrm'),
      effective: hex(status, 'CapEff'),
      bounding: hex(status, 'CapBnd'),
      ambient: status.has('CapAmb') ? hex(status, 'CapAmb') : 0n,
    },
    secureBits,
    noNewPrivileges: status.get('NoNewPrivs') === '1',
  };
}

/** The parts of a process's identity that `/proc` shows. */
export type Identity = Pick<
  Process,
  | 'pid'
  | 'parent'
  | 'group'
  | 'session'
  | 'comm'
  | 'executable'
  | 'commandLine'
  | 'workingDirectory'
  | 'root'
  | 'umask'
  | 'personality'
  | 'oomScoreAdjust'
  | 'coredumpFilter'
  | 'limits'
> & { memory: Omit<Process['memory'], 'brk'>; status: Status };

/** Reads the identity of a process. `pid` in the result is the id in the process's own namespace. */
export function readIdentity(pid: number): Identity {
  const status = parseStatus(readProcText(pid, 'status'));
  const stat = parseStat(readProcText(pid, 'stat'));
  const own = status.has('NSpid') ? numbers(status, 'NSpid').at(-1)! : pid;
  return {
    pid: own,
    parent: stat.parent,
    group: stat.group,
    session: stat.session,
    comm: commOf(pid),
    executable: readProcLink(pid, 'exe') ?? '',
    commandLine: splitStrings(readProc(pid, 'cmdline')),
    workingDirectory: readProcLink(pid, 'cwd') ?? '',
    root: readProcLink(pid, 'root') ?? '/',
    umask: Number.parseInt(field(status, 'Umask'), 8),
    personality: Number.parseInt(readProcText(pid, 'personality').trim(), 16) | 0,
    oomScoreAdjust: Number(readProcText(pid, 'oom_score_adj')),
    coredumpFilter: readCoredumpFilter(pid),
    limits: parseLimits(readProcText(pid, 'limits')),
    memory: {
      startCode: stat.startCode,
      endCode: stat.endCode,
      startData: stat.startData,
      endData: stat.endData,
      startBrk: stat.startBrk,
      startStack: stat.startStack,
      argStart: stat.argStart,
      argEnd: stat.argEnd,
      envStart: stat.envStart,
      envEnd: stat.envEnd,
      auxv: new Uint8Array(readProc(pid, 'auxv')),
    },
    status,
  };
}

/** Which memory goes into a core file: a bit mask, in hexadecimal. */
function readCoredumpFilter(pid: number): number | null {
  try {
    return Number.parseInt(readProcText(pid, 'coredump_filter'), 16);
  } catch {
    return null;
  }
}

/** `comm` without its newline, as {@link textOfBytes} makes it of any bytes. @throws TargetError if the process or thread has ended */
export function commOf(pid: number, tid = pid): string {
  return textOfBytes(readProc(pid, `task/${tid}/comm`)).replace(/\n$/, '');
}

function splitStrings(bytes: Buffer): string[] {
  const text = textOfBytes(bytes);
  return text === '' ? [] : text.replace(/\0$/, '').split('\0');
}
