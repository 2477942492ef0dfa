/** Captures the descriptor table of a process, from outside. */
import { closeSync } from 'node:fs';
import { UsageError } from '../../errors.js';
import {
  duplicate as duplicateOwn,
  pidfdGetfd,
  pidfdOpen,
  tcgets2,
  tiocgwinsz,
} from '../../native/syscalls.js';
import { holdLine } from '../../nftables.js';
import type { DescriptorTable, OpenFile } from '../../snapshot/descriptors.js';
import { inFlightProblem } from '../../snapshot/in-flight.js';
import { FileDecisions } from '../file-choices.js';
import type { ObjectTable } from '../objects.js';
import { unlessRefused } from '../read.js';
import { type SharingConcessions, surveySharedInFlight } from '../shared-outside.js';
import { surveySharedSocketsInFlight } from '../shared-sockets.js';
import { type DescriptorChoices, NO_CHOICES, optionsOf } from './choices.js';
import { withDuplicateOf } from './duplicate.js';
import { type Entry, FIRST_IN_FLIGHT, nameOf } from './entries.js';
import { closeInFlight, findInFlight, type InFlight } from './in-flight.js';
import type { Description, DescriptorKind, KindContext } from './kind.js';
import { kindOf } from './kinds.js';
import { lockProblem, locksOf } from './locks.js';
import { ownerOf } from './owner.js';
import { isOtherEndClosed } from './pipe.js';
import { type Outlook, PassingRefusal, Refusal, refusalOf } from './refusal.js';
import { groupByDescription } from './sharing.js';
import { signalsOf } from './signals.js';
import { streamOf } from './stream.js';
import { readTarget, type Target } from './target.js';
import type { Repair } from './tcp-connections.js';
import { endsOf, holdConnections, keepProblem, removeHold, type TcpGuard } from './tcp-hold.js';
import { terminalStream } from './terminal.js';
import { privateTables } from './threads.js';

/** What capturing descriptors needs. */
export interface DescriptorCaptureContext {
  /** A process all of whose threads are stopped. */
  readonly pid: number;
  /** Deleted files and memfds are added, or described more exactly than mappings could. */
  readonly objects: ObjectTable;
  readonly choices: DescriptorChoices;
  /** What becomes of regular files; every one is opened again if it is left out. */
  readonly files?: FileDecisions;
  /** What is shared with others may be let go of: see {@link SharingConcessions}. Nothing, if it is left out. */
  readonly sharing?: Omit<SharingConcessions, 'descriptors'>;
  /** Stands by where connections are to be kept (`tcp: 'keep'`). */
  readonly guard?: TcpGuard;
  /** Takes descriptors of ours that must stay open until the image is written. */
  keep(fd: number): void;
}

/** The outcome. The table is complete only if there are no problems. */
export interface CapturedDescriptors {
  readonly table: DescriptorTable;
  readonly warnings: readonly string[];
  /** Everything that cannot be carried, by number, kind and path. */
  readonly problems: readonly string[];
  /** How many of the problems are likely to be gone a moment later: see {@link PassingRefusal}. */
  readonly passing: number;
  /** Whether another attempt, before which the process runs for a moment, might do better. */
  readonly outlook: Outlook;
}

/**
 * What cannot be carried, as far as `/proc` tells, and poll(2) of the ends of pipes. The process may run, and nothing of
 * it changes.
 * @returns a line for each: `descriptor 7 (socket, socket:[123]) cannot be carried: ...`
 * @throws TargetError, PermissionError, UsageError for a choice of a descriptor that is not open
 */
export function surveyDescriptors(
  pid: number,
  choices: DescriptorChoices = NO_CHOICES,
  files: FileDecisions = new FileDecisions(),
): string[] {
  // One that is open may be on its way in a socket of the process.
  const isClosed = (entry: Entry): true | null =>
    unlessRefused(() => withDuplicateOf(pid, entry.fd, (copy) => isOtherEndClosed(entry, copy)), null) ||
    null;
  const target = readTarget(pid, choices, files, isClosed);
  assertChoicesKnown(target);
  const unable = choices.tcp === 'keep' ? keepProblem() : null;
  return [...(unable === null ? [] : [unable]), ...privateTables(pid), ...problemsOf(target)];
}

/** Captures all descriptors. @throws TargetError, PermissionError, UsageError as {@link surveyDescriptors} does */
export function captureDescriptors(context: DescriptorCaptureContext): CapturedDescriptors {
  const { pid, choices } = context;
  const pidfd = pidfdOpen(pid);
  let inFlight: InFlight | null = null;
  const duplicate = (fd: number): number => {
    const flight = inFlight?.entries[fd - FIRST_IN_FLIGHT]?.flight;
    return flight ? duplicateOwn(flight.copy) : pidfdGetfd(pidfd, fd);
  };
  const withCopy = <T>(fd: number, use: (copy: number) => T): T => {
    const copy = duplicate(fd);
    try {
      return use(copy);
    } finally {
      closeSync(copy);
    }
  };
  let held: string | null = null;
  try {
    const target = readTarget(
      pid,
      choices,
      context.files,
      (entry) => withCopy(entry.fd, (copy) => isOtherEndClosed(entry, copy)),
      (own) => {
        inFlight = findInFlight(pid, own, choices, duplicate);
        return inFlight;
      },
      withCopy,
    );
    assertChoicesKnown(target);
    const sent = target.inFlight.entries.filter(({ flight }) => !flight?.letGo);
    const concessions = context.sharing ?? { dropChildren: false, embedShared: false };
    const shared = surveySharedInFlight(pid, sent, concessions);
    const sockets = surveySharedSocketsInFlight(sent, target.others);
    const problems = [...privateTables(pid), ...problemsOf(target), ...shared.problems, ...sockets];
    const warnings: string[] = [...shared.warnings];
    const outlook: Outlook = { losses: 0, unrepeatable: false };
    const table: DescriptorTable = {
      ...{ files: [], descriptors: [], folders: [], pipes: [] },
      ...{ terminal: null, hold: null },
    };
    if (problems.length > 0) return { table, warnings, problems, passing: 0, outlook };
    const descriptions = describe(target);
    const files = new Map<number, number>();
    descriptions.forEach(({ entries }, index) => {
      for (const { fd } of entries) files.set(fd, index);
    });
    table.hold = held = hold(descriptions, context, withCopy, warnings);
    const kindContext: KindContext = {
      ...{ pid, target, warnings, outlook, duplicate, withCopy },
      repair: table.hold === null ? null : repairBy(context.guard!),
      objects: context.objects,
      pipes: table.pipes,
      folders: table.folders,
      fileOf: (fd) => files.get(fd) ?? null,
      keep: (fd) => context.keep(fd),
    };
    const locks = locksOf(descriptions, choices, warnings);
    let passing = 0;
    descriptions.forEach((description, index) => {
      const outcome = captureOne(description, locks[index]!, kindContext);
      if (!(outcome instanceof Refusal)) {
        table.files.push(outcome);
        return;
      }
      problems.push(
        refuse(
          description.entries[0]!,
          kindOf(description.entries[0]!, target),
          outcome.message,
          outcome.byKind,
        ),
      );
      if (outcome instanceof PassingRefusal) passing++;
    });
    table.descriptors = descriptions
      .flatMap(({ entries }, file) =>
        entries
          .filter(({ flight }) => !flight)
          .map(({ fd, info }) => ({ fd, file, closeOnExec: info.closeOnExec })),
      )
      .sort((a, b) => a.fd - b.fd);
    table.terminal = captureTerminal(target, withCopy);
    return { table, warnings, problems, passing, outlook };
  } catch (error) {
    // The tracer sees to it, unless it is the one that was killed.
    if (held !== null) removeHold(held);
    throw error;
  } finally {
    if (inFlight !== null) closeInFlight(inFlight);
    closeSync(pidfd);
  }
}

/** Holds all connections that are to be kept; the name of the hold, `null` where there are none. */
function hold(
  descriptions: readonly Description[],
  { pid, choices, guard }: DescriptorCaptureContext,
  withCopy: KindContext['withCopy'],
  warnings: string[],
): string | null {
  if (choices.tcp !== 'keep') return null;
  const chosen = (fd: number): boolean => choices.replace.has(fd) || choices.inherit.has(fd);
  const connections = descriptions.flatMap(({ entries: [entry], stream }) => {
    if (stream !== null || chosen(entry!.fd) || !/^TCP/.test(entry!.protocol ?? '')) return [];
    return withCopy(entry!.fd, endsOf) ?? [];
  });
  if (connections.length === 0) return null;
  if (!guard) throw new Error('connections are kept where somebody stands by');
  const name = holdConnections(pid, connections, guard);
  warnings.push(holdLine(name));
  return name;
}

function repairBy(guard: TcpGuard): Repair {
  return ({ fd, flight }, copy, look) => {
    if (flight) guard.repairCopy(copy);
    else guard.repair(fd);
    try {
      return look();
    } finally {
      guard.repair(null);
    }
  };
}

function captureOne(
  description: Description,
  locks: Pick<OpenFile, 'locks' | 'lease'>,
  context: KindContext,
): OpenFile | Refusal {
  const [first] = description.entries;
  const kind = kindOf(first!, context.target);
  const warned = context.warnings.length;
  try {
    const file = kind.capture(description, context);
    const signals = signalsOf(description, file, context);
    const whole = {
      ...{ ...file, ...ownerOf(first!, file) },
      ...{ ...(signals === undefined ? {} : { signals }), ...locks },
    } as OpenFile;
    refuseInFlight(description, whole);
    return whole;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error;
  } finally {
    nameWarnings(context.warnings, warned, first!);
  }
}

/** @throws Refusal for what is on its way in a socket, and cannot be carried so */
function refuseInFlight({ entries }: Description, file: OpenFile): void {
  if (!entries.some(({ flight }) => flight)) return;
  const why = inFlightProblem(file, !entries[0]!.flight);
  if (why !== null) throw new Refusal(why);
}

/** What is on its way in a socket goes with that. */
function refuse(entry: Entry, kind: DescriptorKind, why: string, byKind = true): string {
  const fd = entry.flight?.carrier ?? entry.fd;
  return refusalOf(fd, kind.describe(entry), why, byKind ? kind.choices?.(entry) : [], nameOf(entry));
}

/** Kinds name a descriptor by its number: what has none is named here. */
function nameWarnings(warnings: string[], from: number, entry: Entry): void {
  if (!entry.flight) return;
  const named = warnings.splice(from);
  warnings.push(...named.map((warning) => warning.replace(`descriptor ${entry.fd}`, nameOf(entry))));
}

function carried({ entries, choices }: Target): Entry[] {
  return entries.filter(({ fd, flight }) => !choices.drop.has(fd) && !flight?.letGo);
}

function problemsOf(target: Target): string[] {
  return carried(target).flatMap((entry) => {
    const { replace, inherit } = target.choices;
    if (replace.has(entry.fd) || inherit.has(entry.fd)) return [];
    const kind = kindOf(entry, target);
    const locked = lockProblem(entry);
    const why = locked ?? kind.problem(entry, target);
    return why === null ? [] : [refuse(entry, kind, why, locked === null)];
  });
}

/** A choice of what is not there is a slip of whoever made it. @throws UsageError */
function assertChoicesKnown({ pid, entries, choices }: Target): void {
  const open = new Set(entries.map(({ fd }) => fd));
  const unknown = optionsOf(choices).find(({ fd }) => !open.has(fd));
  if (unknown) throw new UsageError(`${unknown.option}: process ${pid} has no descriptor ${unknown.fd}`);
}

/**
 * The open file descriptions. One that is on several of 0, 1 and 2 is taken apart, as each of them
 * becomes the stream of its number; so is one for whose descriptors the user chose different things.
 */
function describe(target: Target): Description[] {
  const { choices } = target;
  return groupByDescription(target.pid, carried(target))
    .flatMap((entries) => {
      const sharedWithStream = entries.some(({ fd }) => fd <= 2);
      const parts = new Map<string, { entries: Entry[]; stream: number | null; sharedWithStream: boolean }>();
      for (const entry of entries) {
        const path = choices.replace.get(entry.fd);
        const external = entry.fd > 2 && choices.inherit.has(entry.fd);
        const stream = path === undefined && !external ? streamOf(entry, target) : null;
        const key = external
          ? `external ${entry.fd}`
          : path === undefined
            ? `stream ${stream}`
            : `path ${path}`;
        const part = parts.get(key) ?? { entries: [], stream, sharedWithStream };
        part.entries.push(entry);
        parts.set(key, part);
      }
      return [...parts.values()];
    })
    .sort((a, b) => a.entries[0]!.fd - b.entries[0]!.fd);
}

/** Modes of the terminal, where they are those that the process works with. */
function captureTerminal(
  target: Target,
  withCopy: <T>(fd: number, use: (copy: number) => T) => T,
): DescriptorTable['terminal'] {
  if (!target.terminal.foreground) return null;
  const entry = carried(target).find(
    (candidate) =>
      !target.choices.replace.has(candidate.fd) && terminalStream(candidate, target.terminal) !== null,
  );
  if (!entry) return null;
  return withCopy(entry.fd, (copy) => ({ modes: tcgets2(copy), size: tiocgwinsz(copy) }));
}
