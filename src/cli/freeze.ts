/** `proc2elf <pid>`, also `proc2elf freeze <pid>`. */
import { SingleBar } from 'cli-progress';
import type { Argv, CommandModule } from 'yargs';
import { UsageError } from '../errors.js';
import { type FreezeReport, freeze } from '../freeze.js';
import { formatSize } from '../image/sizes.js';
import { parseChoices } from '../proc/descriptors/choices.js';

interface FreezeArguments {
  pid: string;
  output: string | undefined;
  stop: boolean | undefined;
  kill: boolean | undefined;
  lazy: boolean;
  json: boolean;
  quiet: boolean;
  verbose: boolean;
  embedShared: boolean;
  dropChildren: boolean;
  dropFd: number[];
  fd: string[];
}

/** The freeze command; it is also what runs without a command's name. */
export const freezeCommand: CommandModule<object, FreezeArguments> = {
  command: ['freeze <pid>', '$0 <pid>'],
  describe: 'Freeze a process into an executable that resumes it',
  builder: (yargs) =>
    choiceOptions(
      yargs.positional('pid', { type: 'string', demandOption: true, describe: 'id of the process' }),
    )
      .option('output', {
        alias: 'o',
        type: 'string',
        describe: 'image to write, - for stdout; default <comm>.<pid>.bin',
        requiresArg: true,
      })
      .option('stop', { type: 'boolean', describe: 'leave the process stopped' })
      .option('kill', {
        type: 'boolean',
        describe: 'end the process once the image is on disk',
      })
      .conflicts('stop', 'kill')
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
  handler: (args) => run(args),
};

/** Options by which a user lets go of things, shared by `freeze` and `check`. */
export function choiceOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('embed-shared', {
      type: 'boolean',
      default: false,
      describe: 'carry writable shared file mappings in the image instead of opening the files again',
    })
    .option('drop-children', { type: 'boolean', default: false, describe: 'leave child processes out' })
    .option('drop-fd', {
      type: 'number',
      array: true,
      nargs: 1,
      default: [] as number[],
      describe: 'leave descriptor N closed in the image',
    })
    .option('fd', {
      type: 'string',
      array: true,
      nargs: 1,
      default: [] as string[],
      describe: 'N=PATH: open PATH as descriptor N when the image is run',
    });
}

/** A process id from the command line. @throws UsageError */
export function parsePid(text: string): number {
  const pid = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (pid < 1 || pid > 0x7fff_ffff) throw new UsageError(`${JSON.stringify(text)} is not a process id`);
  return pid;
}

async function run(args: FreezeArguments): Promise<void> {
  const pid = parsePid(args.pid);
  const descriptors = parseChoices(args.dropFd, args.fd);
  const bar = process.stderr.isTTY && !args.quiet && !args.json ? progressBar() : null;
  let report: FreezeReport;
  try {
    report = await freeze(pid, {
      output: args.output,
      after: args.kill ? 'kill' : args.stop ? 'stop' : 'run',
      lazy: args.lazy,
      embedShared: args.embedShared,
      dropChildren: args.dropChildren,
      descriptors,
      onProgress: bar ? (done, total) => bar.update(done, total) : undefined,
    });
  } finally {
    bar?.stop();
  }
  const out = report.output === '-' ? process.stderr : process.stdout;
  if (args.json) out.write(`${JSON.stringify(report, null, 2)}\n`);
  else if (!args.quiet) out.write(summary(report, args));
  if (!args.json)
    for (const warning of report.warnings) process.stderr.write(`proc2elf: warning: ${warning}\n`);
}

function summary(report: FreezeReport, args: FreezeArguments): string {
  const fate = args.kill ? 'ended' : args.stop ? 'left stopped' : 'runs on';
  const name = report.output === '-' ? 'stdout' : report.output;
  const lines = [
    `process ${report.pid} frozen into ${name} (${formatSize(report.bytesOnDisk || report.bytes)}); it ${fate}`,
  ];
  if (args.verbose) {
    lines.push(
      `${report.threads} threads, ${report.regions} regions, ${report.pagesCopied} pages copied`,
      `held for ${report.heldMs.toFixed(1)} ms, ${report.totalMs.toFixed(1)} ms in all`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** A bar on stderr that appears only when there is something to wait for. */
function progressBar(): { update(done: number, total: number): void; stop(): void } {
  const bar = new SingleBar({
    format: 'copying memory {bar} {percentage}% | {eta} s left',
    stream: process.stderr,
    hideCursor: false,
    clearOnComplete: true,
    barCompleteChar: '#',
    barIncompleteChar: '-',
  });
  let shown = false;
  return {
    update(done, total) {
      if (!shown) {
        shown = true;
        bar.start(total, done);
      }
      bar.update(done);
    },
    stop() {
      if (shown) bar.stop();
    },
  };
}
