/** Programs in a terminal of their own. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { repository } from './paths.js';
import { type Launch, type Running, start } from './running.js';

export interface Terminal {
  /** The process in the terminal. */
  readonly pid: number;
  /** The helper that holds the terminal: `send` types, `seen` looks at what is shown. */
  readonly screen: Running;
}

/** Starts a program in a new terminal of 24 lines and 80 columns. */
export async function inTerminal(
  t: ExecutionContext<unknown>,
  command: readonly string[],
  launch: Launch,
): Promise<Terminal> {
  const helper = join(repository, 'test/e2e/harness/terminal.py');
  const env = { ...(launch.env ?? process.env), TERM: 'xterm' };
  const screen = start(t, 'python3', [helper, ...command], { ...launch, env });
  const pid = Number(/^pid (\d+)$/.exec(await screen.line())?.[1]);
  return { pid, screen };
}
