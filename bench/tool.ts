/** The tool as it is installed, and what it takes. */
import { readFileSync } from 'node:fs';
import type { FreezeReport } from '../src/freeze.js';
import { cli } from '../test/e2e/harness/paths.js';
import { childrenOf, Running } from '../test/e2e/harness/running.js';

/** How often memory is looked at, in milliseconds; the kernel keeps the peak, only the last moments are lost. */
const INTERVAL = 5;

/**
 * Freezes a process into `image`.
 * @throws Error with what the tool said, if it fails
 */
export async function freeze(
  pid: number,
  image: string,
  options: readonly string[] = [],
): Promise<FreezeReport> {
  return (await freezeAndWatch(pid, image, options, false)).report;
}

/** The same, and the peak memory (VmHWM) in bytes of the tool and its tracer together. */
export async function freezeAndWatch(
  pid: number,
  image: string,
  options: readonly string[] = [],
  watch = true,
): Promise<{ readonly report: FreezeReport; readonly peak: number }> {
  const args = [cli, String(pid), '-o', image, '--json', ...options];
  const tool = new Running(process.execPath, args, { cwd: '/' });
  const peaks = new Map<number, number>();
  const look = (): void => {
    for (const one of [tool.pid, ...childrenOf(tool.pid)]) peaks.set(one, peakOf(one) ?? peaks.get(one) ?? 0);
  };
  const timer = watch ? setInterval(look, INTERVAL) : undefined;
  const { code } = await tool.ending();
  clearInterval(timer);
  if (code !== 0) throw new Error(`proc2elf ${args.slice(1).join(' ')} ends with ${code}: ${tool.stderr}`);
  return {
    report: JSON.parse(tool.stdout) as FreezeReport,
    peak: [...peaks.values()].reduce((a, b) => a + b, 0),
  };
}

/** VmHWM in bytes; undefined once the process has ended. */
function peakOf(pid: number): number | undefined {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}
