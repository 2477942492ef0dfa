/** The main job as a test: start, freeze, end, thaw, and let the program judge. */
import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { leaveOut } from './needs.js';
import { childrenOf, type Launch, type Running, start } from './running.js';
import { scratch } from './scratch.js';
import { freeze } from './tool.js';

export interface RoundTrip {
  readonly command: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Options of the freeze. */
  readonly freeze?: readonly string[];
  /** Options of the image. */
  readonly thaw?: readonly string[];
  /** Put before the command: `setarch -R`. */
  readonly before?: readonly string[];
  /** Put before the image. */
  readonly beforeImage?: readonly string[];
  /**
   * Let the frozen process work to its end, which must be a good one, before the image is
   * started. Not for programs that leave traces in files: those are ended by `--kill`.
   */
  readonly goesOn?: boolean;
  /** Ordinary user under whom the program, the tool and the image run; only for root to say. */
  readonly uid?: number;
  /** The program looks for a file `go` instead of reading a line. */
  readonly goFile?: boolean;
  /** How often it is frozen, each time as the image before has made it; by default once. */
  readonly generations?: number;
  /** Lines that the image may write to standard error. */
  readonly stderr?: RegExp;
  /** What to do once the program is ready, before it is frozen. */
  readonly prepare?: (running: Running, cwd: string) => Promise<void>;
}

/** Debian's nobody: a user that every machine has. */
export const nobody = 65534;

/** What runs a program as an ordinary user without any capability. */
export function asUser(uid: number): readonly string[] {
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--inh-caps=-all'];
}

function startLine(t: ExecutionContext<unknown>, line: readonly string[], launch: Launch): Running {
  return start(t, line[0] as string, line.slice(1), launch);
}

/** Waits until a thawed program reads its standard input; returns its id, which is not that of the image. */
export async function untilWaiting(running: Running): Promise<number> {
  for (;;) {
    const pid = childrenOf(running.pid)[0] ?? running.pid;
    if (/^0 0x0 /.test(readFileSync(`/proc/${pid}/syscall`, 'utf8'))) return pid;
    await pause(5);
  }
}

/** Runs a self-checking program through freeze, end and thaw. */
export async function roundTrip(t: ExecutionContext<unknown>, trip: RoundTrip): Promise<void> {
  const cwd = scratch(t);
  if (trip.uid !== undefined) chownSync(cwd, trip.uid, trip.uid);
  const launch = { cwd, env: { ...process.env, ...trip.env } };
  const image = join(cwd, 'frozen.bin');
  const as = trip.uid === undefined ? [] : asUser(trip.uid);

  const original = startLine(t, [...as, ...(trip.before ?? []), trip.command, ...(trip.args ?? [])], launch);
  try {
    await original.ready();
  } catch (error) {
    const reason = /^left out: (.*)$/m.exec(original.stdout)?.[1];
    if (reason === undefined) throw error;
    leaveOut(t, reason);
    return;
  }
  await trip.prepare?.(original, cwd);
  if (trip.goesOn === false) {
    await freeze(original.pid, image, ['--kill', ...(trip.freeze ?? [])], launch, as);
    t.is((await original.ending()).signal, 'SIGKILL', 'the frozen process is ended');
  } else {
    await freeze(original.pid, image, trip.freeze ?? [], launch, as);
    await original.goAndExpectOk();
  }

  const thaw = () => startLine(t, [...as, ...(trip.beforeImage ?? []), image, ...(trip.thaw ?? [])], launch);
  let thawed = thaw();
  for (let generation = 1; generation < (trip.generations ?? 1); generation++) {
    await freeze(await untilWaiting(thawed), image, ['--kill', ...(trip.freeze ?? [])], launch, as);
    await thawed.ending();
    thawed = thaw();
  }
  if (trip.goFile === true) writeFileSync(join(cwd, 'go'), '');
  await thawed.goAndExpectOk();
  t.regex(thawed.stderr, trip.stderr ?? /^$/, 'the image says nothing on standard error');
}
