/** Processes with descriptors to look at: Python programs that make some, and are then stopped. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { NO_CHOICES } from '../../../src/proc/descriptors/choices.js';
import { type CapturedDescriptors, captureDescriptors } from '../../../src/proc/descriptors/index.js';
import { FileDecisions } from '../../../src/proc/file-choices.js';
import { ObjectTable } from '../../../src/proc/objects.js';
import { makeFolder } from '../../folder.js';

const PRELUDE = `
import ctypes, fcntl, os, select, signal, socket, struct, sys
os.closerange(3, 1000)  # whatever the test's own parents left open
libc = ctypes.CDLL(None, use_errno=True)
def at(fd, number):
    os.dup2(fd, number, inheritable=True)
    if fd != number: os.close(fd)
    return number
`;
const STOP = `
os.kill(os.getpid(), signal.SIGSTOP)
`;

/** A stopped process. */
export interface Target {
  readonly pid: number;
  readonly child: ChildProcess;
  /** An empty folder, its current one. */
  readonly folder: string;
}

/** How the three streams of a target are connected; the default is /dev/null. */
export type Streams = ('ignore' | 'pipe' | 'inherit' | number)[];

/** Runs Python code and waits until it has stopped itself. It is killed when the test ends. */
export async function startTarget(
  t: ExecutionContext,
  code: string,
  stdio: Streams = ['ignore', 'ignore', 'ignore'],
): Promise<Target> {
  const folder = makeFolder('descriptors-');
  const child = spawn('python3', ['-S', '-c', PRELUDE + code + STOP], { cwd: folder, stdio, detached: true });
  endWith(t, child);
  await untilStopped(child.pid!);
  return { pid: child.pid!, child, folder };
}

/**
 * Ends a process that leads a group at the end of the test, and its children, which may outlive it. Once the whole
 * group has ended its number may be another's.
 */
export function endWith(t: ExecutionContext, child: ChildProcess): void {
  const pid = child.pid!;
  let isThere = true;
  child.once('exit', () => {
    isThere = hasMembers(pid);
  });
  t.teardown(() => {
    if (isThere && hasMembers(pid)) process.kill(-pid, 'SIGKILL');
  });
}

function hasMembers(group: number): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const [, , pgrp] = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return Number(pgrp) === group;
    } catch {
      return false; // ended
    }
  });
}

/** Waits for state T. @throws Error if the process ends instead */
export async function untilStopped(pid: number): Promise<void> {
  for (;;) {
    const state = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
    if (state === 'T') return;
    if (state === 'Z') throw new Error(`process ${pid} has ended instead of stopping`);
    await sleep(10);
  }
}

/** Captures a stopped process. */
export function capture(
  { pid }: Pick<Target, 'pid'>,
  choices = NO_CHOICES,
  files: FileDecisions = new FileDecisions(),
  embedShared = false,
): CapturedDescriptors & { objects: ObjectTable } {
  const objects = new ObjectTable();
  // What is kept is closed with the test's process.
  const sharing = { dropChildren: false, embedShared };
  return { ...captureDescriptors({ pid, objects, choices, files, sharing, keep: () => undefined }), objects };
}

/** The open file behind a descriptor. */
export function fileOf(
  { table }: Pick<CapturedDescriptors, 'table'>,
  fd: number,
): CapturedDescriptors['table']['files'][number] {
  const descriptor = table.descriptors.find((candidate) => candidate.fd === fd);
  if (!descriptor) throw new Error(`no descriptor ${fd}`);
  return table.files[descriptor.file]!;
}
