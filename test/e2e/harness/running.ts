/** A program that a test has started: its lines, its end, and how to be sure that it is gone. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { target } from './paths.js';

/** Deadline for anything a test waits for, in ms: generous, for it only ends what hangs. */
const DEADLINE = 120_000;

export interface Launch {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Rejects with `message()` when `promise` takes longer than the deadline. */
export async function within<T>(promise: Promise<T>, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message())), DEADLINE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Direct children of a process. */
export function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

export class Running {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #rest = '';
  #wake: (() => void)[] = [];
  #ended: Ending | undefined;
  /** Everything it wrote to its standard output and standard error. */
  stdout = '';
  stderr = '';

  constructor(command: string, args: readonly string[], { cwd, env }: Launch) {
    this.#child = spawn(command, args, { cwd, env: env ?? process.env, stdio: 'pipe' });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    // A target that is ended while it is spoken to is no fault of the test.
    this.#child.stdin?.on('error', () => {});
    this.#child.on('error', (error) => {
      this.stderr += error.message;
      this.#finish({ code: 127, signal: null });
    });
    this.#child.on('close', (code, signal) => this.#finish({ code, signal }));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  #take(text: string): void {
    this.stdout += text;
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    this.#lines.push(...lines);
    this.#notify();
  }

  #finish(ending: Ending): void {
    this.#ended ??= ending;
    this.#notify();
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #describe(): string {
    const ended = this.#ended === undefined ? 'still runs' : JSON.stringify(this.#ended);
    return `${this.#child.spawnargs.join(' ')} (${ended})\nstdout: ${this.stdout.slice(-2000)}\nstderr: ${this.stderr.slice(-2000)}`;
  }

  /** The next line of standard output. @throws Error if it ends before. */
  async line(): Promise<string> {
    while (this.#lines.length === 0) {
      if (this.#ended !== undefined) throw new Error(`ended without another line: ${this.#describe()}`);
      await within(
        new Promise<void>((resolve) => this.#wake.push(resolve)),
        () => `no further line: ${this.#describe()}`,
      );
    }
    return this.#lines.shift() as string;
  }

  /** Waits until the output so far (not only its lines) matches. */
  async seen(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.stdout)) {
      if (this.#ended !== undefined) throw new Error(`ended without ${pattern}: ${this.#describe()}`);
      await within(
        new Promise<void>((resolve) => this.#wake.push(resolve)),
        () => `${pattern} does not come: ${this.#describe()}`,
      );
    }
  }

  /** Writes to its standard input. */
  send(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Closes its standard input. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  /** Waits for its end. */
  async ending(): Promise<Ending> {
    while (this.#ended === undefined) {
      await within(
        new Promise<void>((resolve) => this.#wake.push(resolve)),
        () => `does not end: ${this.#describe()}`,
      );
    }
    return this.#ended;
  }

  /** Sends a signal to the process that was started. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for the line `ready`. */
  async ready(): Promise<void> {
    const line = await this.line();
    if (line !== 'ready') throw new Error(`"${line}" instead of ready: ${this.#describe()}`);
  }

  /** Waits for the verdict. @throws Error with everything it said, unless that is `ok`. */
  async expectOk(): Promise<void> {
    const { code } = await this.ending();
    if (code !== 0 || !/(^|\n)ok\r?\n$/.test(this.stdout)) throw new Error(this.#describe());
  }

  /** Says `go` and waits for the verdict. */
  async goAndExpectOk(): Promise<void> {
    this.send('go\n');
    await this.expectOk();
  }

  /** Ends it and what it started (a supervised process is a child of the image), by pid. */
  async end(): Promise<void> {
    if (this.#ended !== undefined || this.pid === 0) return;
    const family = [this.pid];
    for (const pid of family) family.push(...childrenOf(pid));
    for (const pid of family) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    await this.ending();
  }
}

/** Starts a program that does not outlive the test, with no descriptors but 0, 1 and 2. */
export function start(
  t: ExecutionContext<unknown>,
  command: string,
  args: readonly string[],
  launch: Launch,
): Running {
  const running = new Running(target('alone'), [command, ...args], launch);
  t.teardown(() => running.end());
  return running;
}
