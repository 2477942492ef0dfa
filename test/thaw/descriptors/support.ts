/** Plans that are really carried out: by a Python program that runs operations as the interpreter does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import type { ObjectTable } from '../../../src/proc/objects.js';
import type { DescriptorTable } from '../../../src/snapshot/descriptors.js';
import type { MemoryObject } from '../../../src/snapshot/schema.js';
import { Arena } from '../../../src/thaw/arena.js';
import { planDescriptors } from '../../../src/thaw/descriptors/index.js';
import { errnoNumber } from '../../../src/thaw/errno.js';
import type { Op } from '../../../src/thaw/program.js';
import { syscallNumber } from '../../../src/thaw/syscall-numbers.js';
import { planThreadFolders } from '../../../src/thaw/thread-folders.js';
import { makeFolder } from '../../folder.js';
import { capture, endWith, type Streams, startTarget, untilStopped } from '../../proc/descriptors/support.js';

/** Plans run in a process with one thread, which no number of a test is the id of. */
const THREAD = 0;
const BASE = 0x5000_0000_0000n;
const runner = new URL('../../../../test/thaw/descriptors/run-plan.py', import.meta.url).pathname;

/** A table with the content of its objects, one after the other. */
export interface Planned {
  readonly table: DescriptorTable;
  readonly objects: readonly MemoryObject[];
  readonly content: Uint8Array;
}

/** Reads the objects' contents, and gives them their places in an image. */
export function withContent(table: DescriptorTable, objects: ObjectTable): Planned {
  const chunks: Uint8Array[] = [];
  let offset = 0;
  const placed = objects.objects.map((object, index) => ({
    ...object,
    extents: object.extents.map((extent) => {
      const bytes = new Uint8Array(extent.size);
      readSync(objects.sources[index]!.fd, bytes, 0, extent.size, extent.start);
      chunks.push(bytes);
      offset += extent.size;
      return { ...extent, offset: offset - extent.size };
    }),
  }));
  return { table, objects: placed, content: Buffer.concat(chunks) };
}

/** The operations for a table, with what the planner's caller would choose. */
export function plan({ table, objects }: Pick<Planned, 'table' | 'objects'>): {
  ops: Op[];
  arena: Arena;
  imageFd: number;
} {
  const arena = new Arena(BASE);
  const imageFd = Math.max(100, ...table.descriptors.map(({ fd }) => fd + 1));
  const process = { descriptors: table, objects: [...objects] };
  const { open, finish, release } = planDescriptors({
    ...{ arena, process, imageFd, firstTemporary: imageFd + 1, scratch: arena.cell() },
    redraw: [],
    tidOf: () => THREAD,
    folders: planThreadFolders(arena, { descriptors: table, threads: [] }),
  });
  return { ops: [...open, ...finish, ...release], arena, imageFd };
}

/** Writes a plan down; the command that carries it out. `flags`: bits of `Flag`. */
export function preparePlan(planned: Planned, flags = 0): string[] {
  const folder = makeFolder('plan-');
  const { ops, arena, imageFd } = plan(planned);
  const image = join(folder, 'image');
  writeFileSync(image, planned.content);
  const file = join(folder, 'plan.json');
  const data = Buffer.from(arena.toBytes()).toString('hex');
  writeFileSync(file, toJson({ base: BASE, data, image, imageFd, flags, ops: ops.map(numbered) }));
  return ['python3', '-S', runner, file];
}

/** Carries a plan out; the process ends, or stops itself. */
export function runPlan(
  t: ExecutionContext,
  planned: Planned,
  stdio: Streams,
  flags = 0,
  as: readonly string[] = [],
): ChildProcess {
  const [program, ...parameters] = [...as, ...preparePlan(planned, flags)] as [string, ...string[]];
  const child = spawn(program, parameters, { cwd: '/', stdio, detached: true });
  endWith(t, child);
  return child;
}

/** Carries a plan out, to the end. */
export async function restore(
  t: ExecutionContext,
  planned: Planned,
  stdio: Streams = ['ignore', 'ignore', 'inherit'],
  flags = 0,
): Promise<ChildProcess> {
  const child = runPlan(t, planned, stdio, flags);
  await untilStopped(child.pid!);
  return child;
}

/** Captures what the code makes, makes it again in another process, and captures that. */
export async function roundTrip(
  t: ExecutionContext,
  code: string,
  choices = parseChoices([], []),
  flags = 0,
) {
  const target = await startTarget(t, code);
  const before = capture(target, choices);
  t.deepEqual(before.problems, []);
  const ended = once(target.child, 'exit');
  target.child.kill('SIGKILL');
  await ended;
  const planned = withContent(before.table, before.objects);
  const child = await restore(t, planned, undefined, flags);
  const after = capture({ pid: child.pid! });
  t.deepEqual(after.problems, []);
  return { target, before, planned, after, child, again: withContent(after.table, after.objects) };
}

/** Carries out a plan that must fail; what it says. `as`: a command that starts it, with fewer privileges. */
export async function refusal(
  t: ExecutionContext,
  planned: Planned,
  flags = 0,
  as: readonly string[] = [],
): Promise<string> {
  const child = runPlan(t, planned, ['ignore', 'ignore', 'pipe'], flags, as);
  let text = '';
  for await (const chunk of child.stderr!) text += String(chunk);
  return text;
}

function numbered(op: Op): unknown {
  if (op.op === 'mark') return op;
  const { check } = op;
  const numbers = check?.kind === 'ok' ? { ...check, tolerated: check.tolerated?.map(errnoNumber) } : check;
  return { ...op, check: numbers, ...(op.op === 'syscall' ? { number: syscallNumber(op.name) } : {}) };
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? String(member) : member));
}
