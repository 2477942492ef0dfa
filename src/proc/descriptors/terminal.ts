/** The terminal of a process: what its streams are on, or what controls it. */

import { type BigIntStats, constants } from 'node:fs';
import { O } from '../../fcntl.js';
import { deviceNumbers } from '../objects.js';
import type { Entry } from './entries.js';

const { S_IFMT, S_IFCHR } = constants;
/** `linux/major.h`: TTY_MAJOR, pseudoterminals' slaves, and serial lines of several makes. */
const TERMINAL_MAJORS = new Set([4, 166, 188, 204, 229, ...Array.from({ length: 8 }, (_, i) => 136 + i)]);
const DEV_TTY = { major: 5, minor: 0 };
const DEV_CONSOLE = { major: 5, minor: 1 };
/** Preference among the streams, by access mode. What is read and written is the least often redirected. */
const PREFERRED = [
  [0, 2, 1],
  [1, 2, 0],
  [2, 0, 1],
  [2, 0, 1],
] as const;

/** Terminals of a process. */
export interface TerminalView {
  /** The process is in the foreground: the modes of the terminal are those that it works with. */
  readonly foreground: boolean;
  /** Device number (stat's encoding) of the controlling terminal, or `null`. */
  readonly controlling: bigint | null;
  /** Id of its session, which is that of the process that leads it. */
  readonly session: number;
  /** Device numbers of the terminals on 0, 1 and 2. */
  readonly streams: ReadonlyMap<bigint, readonly number[]>;
}

/** What controls a process, and how it stands to that. */
export interface Control extends Pick<TerminalView, 'controlling' | 'session'> {
  /** Its process group is the foreground one. */
  readonly foreground: boolean;
}

/** Reads off the controlling terminal. @param stat text of `/proc/PID/stat` */
export function findControl(stat: string): Control {
  // proc_pid_stat(5): behind the name come state, ppid, pgrp, session, tty_nr and tpgid.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [group, session, device, foreground] = [fields[2]!, fields[3]!, fields[4]!, fields[5]!];
  return {
    foreground: group === foreground,
    controlling: device === 0 ? null : BigInt(device >>> 0),
    session,
  };
}

/**
 * Finds the terminals.
 * @param entries its descriptors but those of its own pseudoterminals
 * @param isOwn the controlling terminal is a pseudoterminal of its own: that says nothing of those of its streams
 */
export function findTerminal(control: Control, entries: readonly Entry[], isOwn: boolean): TerminalView {
  const streams = new Map<bigint, number[]>();
  for (const { fd, stat, info } of entries) {
    if (fd > 2 || info.flags & O.PATH || !isTerminalDevice(stat)) continue;
    streams.set(stat.rdev, [...(streams.get(stat.rdev) ?? []), fd]);
  }
  return { ...control, foreground: control.foreground && !isOwn, streams };
}

/** A terminal by its device number. /dev/tty is one, too. */
function isTerminalDevice(stat: BigIntStats): boolean {
  if (!isCharacterDevice(stat)) return false;
  const { major, minor } = deviceNumbers(stat.rdev);
  return (
    TERMINAL_MAJORS.has(major) ||
    (major === DEV_CONSOLE.major && minor === DEV_CONSOLE.minor) ||
    isDevTty(stat)
  );
}

/** Whether it is a character device, as terminals are. */
export function isCharacterDevice(stat: BigIntStats): boolean {
  return (Number(stat.mode) & S_IFMT) === S_IFCHR;
}

/** Whether it was opened as /dev/tty. */
export function isDevTty(stat: BigIntStats): boolean {
  const { major, minor } = deviceNumbers(stat.rdev);
  return isCharacterDevice(stat) && major === DEV_TTY.major && minor === DEV_TTY.minor;
}

/** The stream that takes the place of a descriptor on the process's terminal, or `null` for any other descriptor. */
export function terminalStream(entry: Entry, { controlling, streams }: TerminalView): number | null {
  const { fd, stat, info } = entry;
  if (info.flags & O.PATH || !isCharacterDevice(stat)) return null;
  const on = streams.get(stat.rdev);
  if (on?.includes(fd)) return fd;
  if (on) return preferred(info.flags, on);
  return stat.rdev === controlling || isDevTty(stat) ? preferred(info.flags, [0, 1, 2]) : null;
}

/** The best of several streams for a descriptor with this access mode. */
export function preferred(flags: number, among: readonly number[]): number {
  return PREFERRED[flags & O.ACCMODE]!.find((stream) => among.includes(stream))!;
}
