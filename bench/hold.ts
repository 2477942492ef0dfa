/** Processes that are small in memory and large otherwise: how long they are held, and what the tool takes. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { end, longestGap, startTarget, type TargetSize, timeToGoOn } from './gaps.js';
import type { Bench } from './place.js';
import { milliseconds } from './statistics.js';
import type { Row } from './table.js';
import { memoryRow } from './thaw.js';
import { freeze, freezeAndWatch } from './tool.js';

const SHAPES: readonly (readonly [string, TargetSize])[] = [
  ['a small process', {}],
  ['10,000 regions', { regions: 10_000 }],
  ['1,000 threads', { threads: 1_000 }],
  ['5,000 descriptors', { descriptors: 5_000 }],
  ['10,000 descriptors', { descriptors: 10_000 }],
];

/** Freezes each, and thaws it again, `rounds` times. */
export async function benchHold(bench: Bench, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  const place = bench.places.at(-1)!;
  const image = join(place.folder, 'frozen.bin');
  for (const [name, size] of SHAPES) {
    const target = await startTarget(bench, size);
    const held: number[] = [];
    const whole: number[] = [];
    const thaw: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const gap = await longestGap(target, async () => {
        const start = performance.now();
        await freeze(target.pid, image);
        whole.push(performance.now() - start);
      });
      held.push(gap);
      thaw.push(await timeToGoOn(bench, image, ['--pid=new']));
    }
    const { peak } = await freezeAndWatch(target.pid, image);
    await end(target);
    rmSync(image);
    rows.push(
      { what: `${name}: time held`, figures: milliseconds(held), result: '' },
      { what: `${name}: whole time`, figures: milliseconds(whole), result: '' },
      { what: `${name}: thaw`, figures: milliseconds(thaw), result: '' },
      memoryRow(name, peak),
    );
  }
  return rows;
}
