/** Helpers of the tests here: small C programs as targets, and looks at them from outside. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../folder.js';

const sources = fileURLToPath(new URL('../../../test/targets/native/', import.meta.url));
const tracerSources = fileURLToPath(new URL('../../../native/tracer/', import.meta.url));

/** Compiles test/targets/native/NAME.c; returns the program's path. */
export function compile(name: string, options: readonly string[] = []): string {
  const program = join(makeFolder('native-'), `${name}${options.join('')}`);
  execFileSync('gcc', ['-O1', '-Wall', '-pthread', ...options, '-o', program, join(sources, `${name}.c`)]);
  return program;
}

/** Compiles a tracer that dies before a certain one of its calls of ptrace(2): see dying.c there. */
export function compileTracer(): string {
  const folder = makeFolder('tracer-');
  const options = ['-O1', '-std=gnu17', '-D_GNU_SOURCE'];
  const units = readdirSync(tracerSources).filter((name) => name.endsWith('.c'));
  const objects = [...units, 'dying.c'].map((name) => {
    const object = join(folder, name.replace('.c', '.o'));
    const own = name === 'dying.c';
    const unit = own
      ? [join(sources, name)]
      : ['-include', join(sources, 'dying.h'), join(tracerSources, name)];
    execFileSync('gcc', [...options, '-c', '-o', object, ...unit]);
    return object;
  });
  const program = join(folder, 'dying');
  execFileSync('gcc', ['-o', program, ...objects]);
  return program;
}

/** A running target and what it prints. */
export interface Target {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Its next line; null at the end of its output. */
  line(): Promise<string | null>;
  /** All the lines that are left. */
  rest(): Promise<string[]>;
}

export function start(program: string, ...args: string[]): Target {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    return done ? null : (value as string);
  };
  const rest = async () => {
    const all: string[] = [];
    for (let next = await line(); next !== null; next = await line()) all.push(next);
    return all;
  };
  return { process: child, pid: child.pid!, line, rest };
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export function read(path: string): string {
  return readFileSync(path, 'utf8');
}

/** A field of /proc/PID/status. */
export function status(pid: number, field: string): string {
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(read(`/proc/${pid}/status`))![1]!;
}

/** How all threads of a process stand, for the log of a test. */
export function threadsOf(pid: number): string {
  const describe = (tid: string): string => {
    const [state, tracer] = ['State', 'TracerPid'].map(
      (field) => new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(read(`/proc/${pid}/task/${tid}/status`))?.[1],
    );
    return `${tid}: ${state}, traced by ${tracer}, in ${read(`/proc/${pid}/task/${tid}/wchan`)}`;
  };
  return readdirSync(`/proc/${pid}/task`).map(describe).join('\n');
}

/** The address of a `syscall` instruction in the target's vDSO. */
export function gadget(pid: number): bigint {
  const [start, end] = mapping(pid, '[vdso]');
  const code = Buffer.alloc(Number(end - start));
  readSync(openSync(`/proc/${pid}/mem`, 'r'), code, 0, code.length, start);
  return start + BigInt(code.indexOf(Buffer.of(0x0f, 0x05)));
}

/** The first mapping with that name. */
export function mapping(pid: number, name: string): [bigint, bigint] {
  const line = read(`/proc/${pid}/maps`)
    .split('\n')
    .find((text) => text.endsWith(name))!;
  const [start, end] = line.split(' ')[0]!.split('-');
  return [BigInt(`0x${start}`), BigInt(`0x${end}`)];
}

/** Ids and names of the children of a process, "pid (name)" a line. */
export function children(pid: number): string {
  const pids = read(`/proc/${pid}/task/${pid}/children`).trim().split(' ');
  return pids.map((child) => `\n${read(`/proc/${child}/stat`)}`).join('');
}
