/** Options and arguments that several commands share. */
import type { Argv } from 'yargs';
import { UsageError } from '../errors.js';

/** Options by which a user lets go of things, shared by `freeze` and `check`. */
export function choiceOptions<T>(yargs: Argv<T>) {
  return descriptorOptions(yargs)
    .option('embed-shared', {
      type: 'boolean',
      default: false,
      describe: 'carry writable shared file mappings, and memory that other processes share, in the image',
    })
    .option('drop-children', { type: 'boolean', default: false, describe: 'leave child processes out' })
    .option('cwd', word('--cwd', 'the working directory in the image'))
    .option('tcp', {
      default: 'close',
      ...word(
        '--tcp',
        'TCP connections: close: the resumed program finds them closed; keep (with --kill or --stop): they go on, and ' +
          'their peers notice a pause',
      ),
    })
    .option('unix-peer', {
      default: 'refuse',
      ...word(
        '--unix-peer',
        'Unix domain sockets to other processes: refuse; close: the resumed program finds them closed',
      ),
    })
    .option('pty-peer', {
      default: 'refuse',
      ...word(
        '--pty-peer',
        'pseudoterminals whose slave other processes have: refuse; close: the resumed program finds it closed',
      ),
    })
    .option('files', {
      default: 'reopen',
      ...word(
        '--files',
        'reopen: open regular files by their paths when the image is run; embed: carry their contents in it',
      ),
    })
    .option(
      'file',
      list('PATH=reopen or PATH=embed: the same for one file; PATH=NEWPATH: open NEWPATH instead'),
    );
}

/** Options about single descriptors, shared by `freeze`, `check` and `rewrite`. */
export function descriptorOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('drop-fd', list('leave descriptor N closed in the image'))
    .option(
      'fd',
      list(
        'N=PATH: open PATH as descriptor N when the image is run; N=null: the null device; ' +
          "N=inherit: take over that of whoever runs it; N=drop: leave it closed; ./null is a file's name",
      ),
    )
    .option(
      'external',
      list('descriptor N is passed in by whoever runs the image: the same as --fd N=inherit'),
    );
}

/** An option with one value that may be given several times. */
export function list(describe: string) {
  return { type: 'string', array: true, nargs: 1, default: [] as string[], describe } as const;
}

/** An option with one value, without which things stay as they are. */
export function word(option: string, describe: string) {
  return { type: 'string', requiresArg: true, describe, coerce: oneValue(option) } as const;
}

/** Refuses an option that was given twice, which yargs makes a list of, or is empty. */
export function oneValue(option: string) {
  return (value: string | string[] | undefined): string | undefined => {
    if (Array.isArray(value)) throw new UsageError(`${option} is given more than once`);
    if (value === '') throw new UsageError(`${option} is empty: name a file`);
    return value;
  };
}

/** A process id from the command line. @throws UsageError */
export function parsePid(text: string | undefined): number {
  if (text === undefined) throw new UsageError('which process? Say proc2elf <pid> -o FILE');
  const pid = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (pid < 1 || pid > 0x7fff_ffff) throw new UsageError(`${JSON.stringify(text)} is not a process id`);
  return pid;
}
