/** What the kinds ask of a process beyond the single descriptor. All of it is read from `/proc`. */

import type { BigIntStats } from 'node:fs';
import { O } from '../../fcntl.js';
import { FileDecisions } from '../file-choices.js';
import { inodeKey } from '../inode.js';
import { readProcText } from '../read.js';
import { type DescriptorChoices, NO_CHOICES } from './choices.js';
import { type Entry, readEntries } from './entries.js';
import { OthersDescriptors } from './holders.js';
import { type InFlight, NOTHING_IN_FLIGHT } from './in-flight.js';
import { isFifo, type OtherEnd, type PipeEnds, pipeEnds } from './pipe-ends.js';
import { findPtys, type Pty } from './pty-view.js';
import { findControl, findTerminal, type TerminalView } from './terminal.js';

/** A process whose descriptors are looked at. */
export interface Target {
  readonly pid: number;
  /**
   * Every descriptor, ascending, those among them that the user lets go of; behind them what is on its way in
   * sockets, as far as that was looked for.
   */
  readonly entries: readonly Entry[];
  readonly choices: DescriptorChoices;
  /** What is on its way in sockets. */
  readonly inFlight: InFlight;
  /** What all other processes have open. */
  readonly others: OthersDescriptors;
  /** What becomes of regular files. */
  readonly files: FileDecisions;
  readonly terminal: TerminalView;
  /** Pseudoterminals whose master the process has. */
  readonly ptys: readonly Pty[];
  /** Prefix by which the target's paths are seen from here. */
  readonly root: string;
  /** Runs `use` with a duplicate of a descriptor; `null` in a dry run, which may not touch them. */
  readonly withCopy: WithCopy | null;
  /** The entry of a number. */
  entry(fd: number): Entry | undefined;
  /** Ends of a pipe that the process has, by inode. */
  pipe(stat: BigIntStats): PipeEnds;
  /** Whether another process has the same file open, of the TCP connections to keep; `null`: that cannot be told. */
  heldElsewhere(entry: Entry): boolean | null;
  /** Where the end lies that the process may lack. */
  otherEnd(entry: Entry): OtherEnd;
}

/** Runs `use` with a duplicate of a descriptor. */
export type WithCopy = <T>(fd: number, use: (copy: number) => T) => T;

/** Asks the kernel whether the other end of a pipe is closed; `null` where that cannot be told. */
export type Poll = (entry: Entry) => boolean | null;

/**
 * Reads a process's descriptors.
 * @param look finds what is on its way in sockets; for a dry run: nothing
 * @param withCopy for a dry run: `null`
 * @throws TargetError, PermissionError
 */
export function readTarget(
  pid: number,
  choices: DescriptorChoices = NO_CHOICES,
  files: FileDecisions = new FileDecisions(),
  poll: Poll = () => null,
  look: (own: readonly Entry[]) => InFlight = () => NOTHING_IN_FLIGHT,
  withCopy: WithCopy | null = null,
): Target {
  const own = readEntries(pid);
  const inFlight = look(own);
  const entries = [...own, ...inFlight.entries];
  const root = `/proc/${pid}/root`;
  const control = findControl(readProcText(pid, 'stat'));
  const ptys = findPtys(entries, root, control.controlling);
  const slaves = new Set(ptys.flatMap((pty) => pty.slaves));
  for (const { stat, info } of entries) {
    if (!(info.flags & O.PATH) && (info.flags & O.ACCMODE) !== O.RDONLY) files.write(stat);
  }
  const byNumber = new Map(entries.map((entry) => [entry.fd, entry]));
  const pipes = pipeEnds(entries);
  const keep = (entry: Entry): boolean => choices.tcp === 'keep' && /^TCP/.test(entry.protocol ?? '');
  const links = new Set(entries.filter((entry) => isFifo(entry.stat) || keep(entry)).map(({ link }) => link));
  const others = new OthersDescriptors(pid, inFlight.copies);
  const holders = others.findLinks(links);
  const known = new Map<string, OtherEnd>();
  const pipe = (stat: BigIntStats): PipeEnds => pipes.get(inodeKey(stat))!;
  const otherEnd = (entry: Entry): OtherEnd => {
    const { reader, writer } = pipe(entry.stat);
    if (holders.held.has(entry.link)) return 'outside';
    if (reader && writer) return 'inside';
    const closed = poll(entry);
    if (closed !== null) return closed ? 'closed' : 'outside';
    return holders.complete ? 'closed' : 'outside';
  };
  return {
    pid,
    entries,
    choices,
    inFlight,
    others,
    files,
    terminal: findTerminal(
      control,
      entries.filter((entry) => !slaves.has(entry)),
      ptys.some((pty) => pty.controls),
    ),
    ptys,
    root,
    withCopy,
    entry: (fd) => byNumber.get(fd),
    pipe,
    heldElsewhere: ({ link }) => holders.held.has(link) || (holders.complete ? false : null),
    otherEnd: (entry) => {
      const key = inodeKey(entry.stat);
      const end = known.get(key) ?? otherEnd(entry);
      known.set(key, end);
      return end;
    },
  };
}
