/**
 * The commands as yargs knows them. What they do is loaded when it is asked for, so that help and
 * usage errors come at once.
 */
import type { Argv, CommandModule } from 'yargs';
import { choiceOptions, descriptorOptions, list, oneValue, word } from './arguments.js';
import type { CheckArguments } from './check.js';
import type { FreezeArguments } from './freeze.js';
import type { InspectArguments } from './inspect.js';
import type { RewriteArguments } from './rewrite.js';

// The arguments that a command needs are optional to yargs, which would otherwise complain that they are
// missing where an unknown option has taken them: `proc2elf --nonsense 4242`.

/** The freeze command; it is also what runs without a command's name. */
export const freezeCommand: CommandModule<object, FreezeArguments> = {
  command: ['freeze [pid]', '$0 [pid]'],
  describe: 'Freeze a process into an executable that resumes it',
  builder: (yargs) =>
    choiceOptions(yargs.positional('pid', { type: 'string', describe: 'id of the process' }))
      .option('output', {
        alias: 'o',
        type: 'string',
        describe: 'image to write, - for stdout; default <comm>.<pid>.bin',
        requiresArg: true,
        coerce: oneValue('-o'),
      })
      .option('stop', { type: 'boolean', describe: 'leave the process stopped' })
      .option('kill', {
        type: 'boolean',
        describe: 'end the process once the image is on disk',
      })
      .conflicts('stop', 'kill')
      .option('sync', {
        type: 'boolean',
        default: false,
        describe: 'wait until the image is on disk, as --stop and --kill do',
      })
      .option('lazy', {
        type: 'boolean',
        default: false,
        describe: 'the image pages its memory in on first touch',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print a report as JSON' })
      .option('quiet', { alias: 'q', type: 'boolean', default: false, describe: 'print errors only' })
      .option('verbose', {
        alias: 'v',
        type: 'boolean',
        default: false,
        describe: 'print more',
      }) as unknown as Argv<FreezeArguments>,
  handler: async (args) => (await import('./freeze.js')).runFreeze(args),
};

/** `proc2elf inspect FILE [--json] [--program]`. */
export const inspectCommand: CommandModule<object, InspectArguments> = {
  command: 'inspect [file]',
  describe: 'Show what is in an image',
  builder: (yargs) =>
    yargs
      .positional('file', { type: 'string', describe: 'the image' })
      .option('json', { type: 'boolean', default: false, describe: 'print JSON' })
      .option('program', { type: 'boolean', default: false, describe: 'list the thaw programs' }),
  handler: async (args) => (await import('./inspect.js')).runInspect(args),
};

/** `proc2elf rewrite FILE -o NEW`. */
export const rewriteCommand: CommandModule<object, RewriteArguments> = {
  command: 'rewrite [image]',
  describe: 'Make another image of an image: other descriptors, paths, directory, environment',
  builder: (yargs) =>
    descriptorOptions(
      yargs.positional('image', { type: 'string', describe: 'the image, which stays as it is' }),
    )
      .option('output', {
        alias: 'o',
        type: 'string',
        describe: 'image to write, - for stdout',
        requiresArg: true,
        coerce: oneValue('-o'),
      })
      .option(
        'files',
        word(
          '--files',
          'reopen: open regular files by their paths; embed: put their content of now into the image; default: as it is',
        ),
      )
      .option(
        'file',
        list(
          'PATH=reopen or PATH=embed: the same for one file; PATH=NEWPATH: open NEWPATH where PATH was open',
        ),
      )
      .option('path', list('OLD=NEW: every path that is opened again and begins with OLD begins with NEW'))
      .option('cwd', word('--cwd', 'the working directory'))
      .option(
        'tcp',
        word('--tcp', 'close: TCP connections that are kept are found closed instead; keep: refuse others'),
      )
      .option(
        'unix-peer',
        word(
          '--unix-peer',
          'refuse: refuse an image that let go of sockets to other processes; close: do not',
        ),
      )
      .option('pty-peer', word('--pty-peer', 'refuse: the same for slaves of pseudoterminals; close: do not'))
      .option(
        'env',
        list(
          'NAME=VALUE: a value in the environment block (/proc/PID/environ), no longer than the old one; ' +
            'copies that the program has made are not changed',
        ),
      ) as unknown as Argv<RewriteArguments>,
  handler: async (args) => (await import('./rewrite.js')).runRewrite(args),
};

/** `proc2elf check [PID]`. */
export const checkCommand: CommandModule<object, CheckArguments> = {
  command: 'check [pid]',
  describe: 'What this machine allows; with a pid, whether that process can be frozen',
  builder: (yargs) =>
    choiceOptions(yargs.positional('pid', { type: 'string', describe: 'id of a process' })).option('json', {
      type: 'boolean',
      default: false,
      describe: 'print JSON',
    }) as unknown as Argv<CheckArguments>,
  handler: async (args) => (await import('./check.js')).runCheck(args),
};
