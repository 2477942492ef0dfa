/** Tests of connections that are kept: what they need, and what they must not leave behind. */
import { existsSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { readImage } from '../../../src/image/read.js';
import { askNetfilter } from '../../../src/native/nfnetlink.js';
import { askForTable } from '../../../src/nftables.js';
import { keepProblem, removeHold } from '../../../src/proc/descriptors/tcp-hold.js';
import { errnoOf } from '../../../src/proc/read.js';
import { leaveOut, testWith } from './needs.js';

/** A test that needs nf_tables and the privilege to use it, besides programs. */
export function testKeeping(
  programs: readonly string[],
  title: string,
  body: (t: ExecutionContext<unknown>) => Promise<void>,
): void {
  testWith(programs, title, async (t) => {
    const problem = keepProblem();
    if (problem === null) await body(t);
    else leaveOut(t, problem);
  });
}

/** The name of the table that holds the connections of an image. */
export async function holdOf(image: string): Promise<string> {
  const { snapshot } = await readImage(image);
  return snapshot.processes[0]!.descriptors.hold!;
}

/** Whether an nftables table is there. */
export function isHeld(name: string): boolean {
  try {
    askNetfilter(askForTable(name));
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Removes what holds the connections of an image when the test is over, whether it was thawed or not. */
export function letGo(t: ExecutionContext<unknown>, image: string): void {
  t.teardown(async () => {
    if (existsSync(image)) removeHold(await holdOf(image));
  });
}
