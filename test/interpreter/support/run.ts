/** Runs images and small C programs. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { scratchPath } from './image.js';

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function run(path: string, args: readonly string[] = [], input = ''): Ended {
  const { status, signal, stdout, stderr, error } = spawnSync(path, args, { input, timeout: 20_000 });
  if (error) throw error;
  return { status, signal, stdout, stderr: stderr.toString() };
}

/** What a message of the image begins with. */
export function nameOf(path: string): string {
  return basename(path);
}

/** A program that runs beside the test. */
export interface Running {
  readonly pid: number;
  /** Resolves when standard output holds `text`. */
  sees(text: string): Promise<void>;
  readonly output: () => string;
  readonly errors: () => string;
  /** Whether nobody holds its standard output any more. */
  readonly closed: () => boolean;
  readonly ended: Promise<{ status: number | null; signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
}

const children = new Set<ChildProcess>();

/** Ends what `start` has started and no test has ended; to be called after all tests. */
export function killAll(): void {
  for (const child of children) child.kill('SIGKILL');
}

/** Starts a program; its output is gathered. */
export function start(path: string, args: readonly string[] = []): Running {
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let output = '';
  let errors = '';
  child.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString('latin1');
  });
  const ended = new Promise<{ status: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('close', (status, signal) => {
      children.delete(child);
      resolve({ status, signal });
    });
  });
  return {
    pid: child.pid!,
    output: () => output,
    errors: () => errors,
    closed: () => child.stdout.readableEnded,
    ended,
    kill: (signal) => {
      child.kill(signal);
    },
    sees: (text) => until(() => output.includes(text), `${text} in ${JSON.stringify(output)}`),
  };
}

/** Waits until something holds. @throws Error after ten seconds */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited in vain for ${what}`);
}

/** State letter of a process, `?` if there is none. */
export function stateOf(pid: number): string {
  try {
    return /\) (.)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? '?';
  } catch {
    return '?';
  }
}

/** Compiles a freestanding C file of this folder to a flat binary that runs at `address`. */
export function compileFlat(source: string, address: bigint): Buffer {
  const elf = scratchPath('code.elf');
  const flat = scratchPath('code.bin');
  const path = join('test/interpreter/support', source);
  execFileSync('gcc', [
    ...['-O1', '-ffreestanding', '-fno-stack-protector', '-fno-pic', '-no-pie', '-nostdlib', '-static'],
    ...['-mgeneral-regs-only', '-fcf-protection=none', '-fno-asynchronous-unwind-tables'],
    ...[`-Wl,-Ttext=0x${address.toString(16)}`, '-Wl,-e,start,--build-id=none', '-o', elf, path],
  ]);
  execFileSync('objcopy', ['-O', 'binary', '-j', '.text', '-j', '.rodata', elf, flat]);
  return readFileSync(flat);
}
