/** Pseudoterminals of a process: which sides of each it has, and who else has one. */

import { type BigIntStats, statSync } from 'node:fs';
import { basename, dirname } from 'node:path/posix';
import { filePath } from '../../byte-text.js';
import { O } from '../../fcntl.js';
import { compareDescriptions } from '../../native/syscalls.js';
import { slavePath } from '../../pty.js';
import { deviceNumbers } from '../objects.js';
import { readProcText } from '../read.js';
import { type Entry, placeOf } from './entries.js';
import { infoField } from './fdinfo.js';
import type { Holders } from './holders.js';
import type { Target } from './target.js';
import { findControl, isDevTty } from './terminal.js';

/** Documentation/admin-guide/devices.txt. */
const PTMX = { major: 5, minor: 2 };
const PTS_MAJOR = 136;
/** What the kernel puts behind the path of a file that is gone. */
const GONE = ' (deleted)';

/** A pseudoterminal whose master the process has. */
export interface Pty {
  /** Descriptors of the master; they share one open file description, as it cannot be opened twice. */
  readonly masters: readonly Entry[];
  /** N of `/dev/pts/N`. */
  readonly number: number;
  /** Device number of the file system that N is of. */
  readonly dev: bigint;
  /** Path of the slave. */
  readonly path: string;
  /** Descriptors of the slave, those of /dev/tty among them where it controls the process. */
  readonly slaves: readonly Entry[];
  /** Whether it is, by its number, the controlling terminal of the process. */
  readonly controls: boolean;
}

/** Whether it is the master of a pseudoterminal. */
export function isPtyMaster({ stat, info }: Entry): boolean {
  return (
    !(info.flags & O.PATH) && isDevice(stat, PTMX.major) && deviceNumbers(stat.rdev).minor === PTMX.minor
  );
}

/** Whether it is the slave of a pseudoterminal. */
export function isPtySlave({ stat, info }: Entry): boolean {
  return !(info.flags & O.PATH) && isDevice(stat, PTS_MAJOR);
}

/** Whether it is a slave that was hung up, as its master is closed: nobody can open it any more. */
export function isHungUp(entry: Entry): boolean {
  return isPtySlave(entry) && entry.link.endsWith(GONE);
}

/** N of `/dev/pts/N`. */
export function numberOf({ stat }: Entry): number {
  return deviceNumbers(stat.rdev).minor;
}

function isDevice({ mode, rdev }: BigIntStats, major: number): boolean {
  return (mode & 0o170000n) === 0o020000n && deviceNumbers(rdev).major === major;
}

/**
 * The pseudoterminals among descriptors.
 * @param root prefix by which their paths are seen from here
 * @param controlling device number of the controlling terminal
 */
export function findPtys(entries: readonly Entry[], root: string, controlling: bigint | null): Pty[] {
  const found = new Map<string, Pty & { masters: Entry[] }>();
  for (const master of entries.filter(isPtyMaster)) {
    const number = Number(infoField(master.info.text, 'tty-index') ?? Number.NaN);
    const dev = deviceOfSlave(master, root);
    const known = found.get(`${dev} ${number}`);
    if (known) {
      known.masters.push(master);
      continue;
    }
    const controls = slaveDevice(number) === controlling;
    const isSlave = (entry: Entry): boolean =>
      isPtySlave(entry)
        ? entry.stat.dev === dev && numberOf(entry) === number
        : controls && isDevTty(entry.stat) && !(entry.info.flags & O.PATH);
    const slaves = entries.filter(isSlave);
    found.set(`${dev} ${number}`, {
      masters: [master],
      number,
      dev,
      path: slavePath(master.link, number),
      slaves,
      controls,
    });
  }
  return [...found.values()];
}

/** Device number of the file system that the slave is of, as the kernel finds it. */
function deviceOfSlave({ link, stat }: Entry, root: string): bigint {
  const folder = dirname(slavePath(link, 0));
  if (folder === dirname(link)) return stat.dev;
  try {
    return statSync(filePath(root + folder), { bigint: true }).dev;
  } catch {
    return stat.dev;
  }
}

/** What is known of the pseudoterminals of a process. */
export interface PtyView {
  /** That of which a descriptor is a side; `null` where the process does not have the master. */
  of(entry: Entry): Pty | null;
  /** The process that has the master, too; `null`: none is found. */
  holderOfMaster(pty: Pty): number | null;
  /** Another process that has the slave; `null`: none is found. */
  holderOfSlave(pty: Pty): number | null;
}

const views = new WeakMap<Target, PtyView>();

/** The view of a process, made once. */
export function ptyView(target: Target): PtyView {
  const known = views.get(target) ?? makeView(target);
  views.set(target, known);
  return known;
}

function makeView(target: Target): PtyView {
  const { ptys, others } = target;
  let holders: Holders<string> | undefined;
  const held = (key: string): number | null => {
    holders ??= others.find((link, path, holder) => heldSide(link, path, holder, target));
    return holders.held.get(key) ?? null;
  };
  return {
    of: (entry) =>
      ptys.find(({ masters, slaves }) => masters.includes(entry) || slaves.includes(entry)) ?? null,
    holderOfMaster: (pty) => held(`master ${pty.dev} ${pty.number}`),
    holderOfSlave: (pty) => held(`slave ${pty.dev} ${pty.number}`),
  };
}

/** Which side of one of the target's pseudoterminals a descriptor of another process is. */
function heldSide(link: string, path: string, holder: number, { ptys, pid }: Target): string | null {
  if (!link.startsWith('/')) return null;
  if (basename(link) === 'ptmx') {
    const other = { pid: holder, fd: Number(basename(path)) };
    const pty = ptys.find(({ masters }) => compareDescriptions(placeOf(pid, masters[0]!), other) === 0);
    return pty ? `master ${pty.dev} ${pty.number}` : null;
  }
  if (basename(link) === 'tty') return heldByName(path, holder, ptys);
  if (!/^\d+$/.test(basename(link))) return null;
  const { dev, rdev } = statSync(path, { bigint: true });
  const pty = ptys.find((candidate) => candidate.dev === dev && rdev === slaveDevice(candidate.number));
  return pty ? `slave ${pty.dev} ${pty.number}` : null;
}

/** A member of the session that a pseudoterminal controls may have it as /dev/tty. */
function heldByName(path: string, holder: number, ptys: readonly Pty[]): string | null {
  const pty = ptys.find(({ controls }) => controls);
  if (!pty || !isDevTty(statSync(path, { bigint: true }))) return null;
  const { controlling } = findControl(readProcText(holder, 'stat'));
  return controlling === slaveDevice(pty.number) ? `slave ${pty.dev} ${pty.number}` : null;
}

/** Whether a descriptor is in the image as what it is. */
export function isCarried({ fd, flight }: Entry, { choices }: Target): boolean {
  return !choices.drop.has(fd) && !choices.replace.has(fd) && !choices.inherit.has(fd) && !flight?.letGo;
}

/** Device number of a slave: stat's encoding, as of makedev(3). */
export function slaveDevice(number: number): bigint {
  return (BigInt(number & ~0xff) << 12n) | (BigInt(PTS_MAJOR) << 8n) | BigInt(number & 0xff);
}
