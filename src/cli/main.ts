#!/usr/bin/env node
/** The command line: parses, calls, prints. */
import './current-folder.js';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { Proc2elfError, UnsupportedError, UsageError } from '../errors.js';
import { VERSION } from '../version.js';
import { checkCommand, freezeCommand, inspectCommand, rewriteCommand } from './commands.js';
import { escapeControls } from './inspect/escape.js';
import { endBy, Interrupted } from './interrupted.js';

const EXIT_FAILED = 1;

/** One line for a person, and the exit code that belongs to it. */
function report(error: unknown): number {
  const hint = error instanceof UsageError ? ' (proc2elf --help tells more)' : '';
  process.stderr.write(`proc2elf: ${messageOf(error)}${hint}\n`);
  return error instanceof Proc2elfError ? error.exitCode : EXIT_FAILED;
}

/** What an error says, safe to print: names of files and processes may hold anything. */
function messageOf(error: unknown): string {
  if (error instanceof UnsupportedError) return new UnsupportedError(error.items.map(escapeControls)).message;
  return escapeControls(error instanceof Error ? error.message : String(error));
}

// Whoever reads may have seen enough: `proc2elf check | head -3`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? process.exitCode : report(error));
});

const parser = yargs(hideBin(process.argv))
  .scriptName('proc2elf')
  .usage('$0 <pid> -o FILE\n\nFreezes a running process into one executable file that resumes it.')
  .command(freezeCommand)
  .command(inspectCommand)
  .command(rewriteCommand)
  .command(checkCommand)
  .version(VERSION)
  .strict()
  .help()
  .wrap(Math.min(100, process.stdout.columns ?? 100))
  .example('$0 4242 -o frozen.bin --kill', 'freeze process 4242, then end it; ./frozen.bin resumes it')
  .example('$0 inspect frozen.bin', 'what is in an image')
  .example('$0 rewrite frozen.bin -o other.bin --path /home/a=/home/b', 'the same process, with other paths')
  .fail((message, error) => {
    // What yargs itself finds wrong comes as a message, or as an error of its own class.
    throw error && error.name !== 'YError' ? error : new UsageError(message ?? error.message);
  });

try {
  await parser.parseAsync();
} catch (error) {
  process.exitCode = report(error);
  if (error instanceof Interrupted) endBy(error.signal);
}
