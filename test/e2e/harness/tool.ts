/** The command line under test. */

import { cli } from './paths.js';
import { type Launch, Running } from './running.js';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What `--json` prints of a freeze, as far as the tests look at it. */
export interface Report {
  readonly regions: number;
  readonly threads: number;
  /** Bytes on disk. */
  readonly bytes: number;
  readonly warnings: readonly string[];
}

/** Runs a program to its end. */
export async function run(command: string, args: readonly string[], launch: Launch): Promise<Outcome> {
  const running = new Running(command, args, launch);
  running.endInput();
  const { code } = await running.ending();
  return { code, stdout: running.stdout, stderr: running.stderr };
}

/** Runs the tool, under a prefix such as `setpriv …`; any outcome is fine. */
export async function proc2elf(
  args: readonly string[],
  launch: Launch,
  as: readonly string[] = [],
): Promise<Outcome> {
  const [command, ...rest] = [...as, process.execPath, cli, ...args];
  return run(command as string, rest, launch);
}

/**
 * Freezes a process.
 * @returns the report
 * @throws Error with what the tool said, if it did not end with 0.
 */
export async function freeze(
  pid: number,
  image: string,
  options: readonly string[],
  launch: Launch,
  as: readonly string[] = [],
): Promise<Report> {
  const args = [String(pid), '-o', image, '--json', ...options];
  const { code, stdout, stderr } = await proc2elf(args, launch, as);
  if (code !== 0) throw new Error(`proc2elf ${args.join(' ')} ends with ${code}: ${stderr}${stdout}`);
  return JSON.parse(stdout) as Report;
}
