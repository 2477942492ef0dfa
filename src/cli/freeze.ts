/** What `proc2elf <pid>` does: freezes, shows progress, reports. */
import { type FreezeOptions, type FreezeReport, freeze } from '../freeze.js';
import { formatSize } from '../image/sizes.js';
import { addon } from '../native/addon.js';
import { parsePid } from './arguments.js';
import { type ChoiceArguments, parseChoiceArguments } from './choices.js';
import { escapeControls, jsonText } from './inspect/escape.js';
import { interruptible } from './interruptible.js';
import { unsuspended } from './unsuspended.js';
import { printWarnings } from './warnings.js';

/** The command line of a freeze. */
export interface FreezeArguments extends ChoiceArguments {
  pid: string | undefined;
  output: string | undefined;
  stop: boolean | undefined;
  kill: boolean | undefined;
  lazy: boolean;
  json: boolean;
  sync: boolean;
  quiet: boolean;
  verbose: boolean;
}

/** Freezes a process as the command line says. @throws Interrupted, or whatever {@link freeze} throws */
export async function runFreeze(args: FreezeArguments): Promise<void> {
  addon.mapLargeBlocks(); // a tool is small beside what it freezes
  const pid = parsePid(args.pid);
  const choices = parseChoiceArguments(args);
  const bar = process.stderr.isTTY && !args.quiet && !args.json ? await progressBar() : null;
  const options: FreezeOptions = {
    output: args.output,
    after: args.kill ? 'kill' : args.stop ? 'stop' : 'run',
    sync: args.sync,
    lazy: args.lazy,
    ...choices,
    onProgress: bar ? (done, total) => bar.update(done, total) : undefined,
  };
  let report: FreezeReport;
  try {
    // A stream leaves nothing to put away, and its reader may let us wait: there a signal simply ends us.
    report = await unsuspended(() =>
      args.output === '-'
        ? freeze(pid, options)
        : interruptible((signal) => freeze(pid, { ...options, signal })),
    );
  } finally {
    bar?.stop();
  }
  const out = report.output === '-' ? process.stderr : process.stdout;
  if (args.json) out.write(jsonText(report));
  else if (!args.quiet) out.write(summary(report, args));
  if (!args.json) printWarnings(report.warnings);
}

function summary(report: FreezeReport, args: FreezeArguments): string {
  const fate = args.kill ? 'ended' : args.stop ? 'is left stopped' : 'runs on';
  const name = report.output === '-' ? 'stdout' : escapeControls(report.output);
  const lines = [
    `process ${report.pid} frozen into ${name} (${formatSize(report.bytesOnDisk || report.bytes)}); it ${fate}`,
  ];
  if (args.verbose) {
    lines.push(
      `${count(report.threads, 'thread')}, ${count(report.regions, 'region')}, ${count(report.pagesCopied, 'page')} copied`,
      `held for ${report.heldMs.toFixed(1)} ms, ${report.totalMs.toFixed(1)} ms in all`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** A bar on stderr that appears only when there is something to wait for. */
async function progressBar(): Promise<{ update(done: number, total: number): void; stop(): void }> {
  // CommonJS: bundled, it has no named exports.
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format: 'copying memory {bar} {percentage}%',
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
