/** Capture of 1 GiB of random anonymous memory, against gdb's `gcore` of the same process. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { which } from '../test/e2e/harness/paths.js';
import { Running } from '../test/e2e/harness/running.js';
import { end, longestGap, startTarget } from './gaps.js';
import type { Bench, Place } from './place.js';
import { GIB, median, milliseconds } from './statistics.js';
import { type Row, ratioRow } from './table.js';
import { freeze } from './tool.js';

/**
 * One way to capture: the time that the target did not run, until the command ended, and until the file
 * was safe on disk, in ms, per round.
 */
interface Times {
  readonly held: number[];
  readonly command: number[];
  readonly whole: number[];
}

/** Measures both in turn, `rounds` times in each place. */
export async function benchCapture(bench: Bench, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const place of bench.places) rows.push(...(await captureInto(bench, place, rounds)));
  return rows;
}

async function captureInto(bench: Bench, place: Place, rounds: number): Promise<Row[]> {
  const target = await startTarget(bench, { bytes: GIB });
  const [tool, peer]: Times[] = [
    { held: [], command: [], whole: [] },
    { held: [], command: [], whole: [] },
  ];
  const image = join(place.folder, 'frozen.bin');
  const core = join(place.folder, 'core');
  const hasPeer = which('gcore') !== undefined;
  for (let round = 0; round < rounds; round++) {
    warm(bench);
    await time(target, tool!, () => freeze(target.pid, image), image);
    rmSync(image);
    if (!hasPeer) continue;
    warm(bench);
    await time(target, peer!, () => gcore(target.pid, core), `${core}.${target.pid}`);
    rmSync(`${core}.${target.pid}`);
  }
  await end(target);
  return [
    row(`capture of 1 GiB to ${place.name}: time held`, tool!.held, peer!.held),
    row(`capture of 1 GiB to ${place.name}: until it is on disk`, tool!.whole, peer!.whole),
    row(`capture of 1 GiB to ${place.name}: until the command ends`, tool!.command, peer!.command),
  ];
}

/** So that neither waits for the host of a virtual machine; see `warm.c`. */
function warm(bench: Bench): void {
  execFileSync(bench.helper('warm'), [String(2 * GIB)]);
}

/** @param file what the action leaves for the kernel to write to disk some time */
async function time(
  target: Running,
  times: Times,
  action: () => Promise<unknown>,
  file: string,
): Promise<void> {
  const start = performance.now();
  const gap = await longestGap(target, async () => {
    await action();
    times.command.push(performance.now() - start);
    execFileSync('sync', [file]);
    times.whole.push(performance.now() - start);
  });
  times.held.push(gap);
}

async function gcore(pid: number, core: string): Promise<void> {
  const running = new Running('gcore', ['-o', core, String(pid)], { cwd: '/' });
  const { code } = await running.ending();
  if (code !== 0) throw new Error(`gcore ends with ${code}: ${running.stderr}`);
}

function row(what: string, tool: readonly number[], peer: readonly number[]): Row {
  if (peer.length === 0) return { what, figures: milliseconds(tool), result: 'gcore is not installed' };
  const figures = `${milliseconds(tool)}, gcore ${milliseconds(peer)}`;
  return ratioRow(what, figures, median(tool) / median(peer), 1);
}
