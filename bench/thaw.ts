/** Images of three sizes: eager thaw against a plain read, lazy thaw, and the memory that the tool took. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { end, startTarget, timeToGoOn } from './gaps.js';
import type { Bench, Place } from './place.js';
import { GIB, MIB, mebibytes, median, milliseconds } from './statistics.js';
import { type Row, ratioRow } from './table.js';
import { freezeAndWatch } from './tool.js';

const SIZES = [64 * MIB, GIB, 4 * GIB];
/** Bytes that the tool may take at any size of the target. */
const MOST_MEMORY = 200 * MIB;
/** Milliseconds from exec to the first instruction of a lazily thawed program. */
const MOST_LAZY = 30;
/** Eager thaw in multiples of the plain read. */
const MOST_EAGER = 2;

/** Freezes a target of each size in each place, and thaws each image `rounds` times in each way. */
export async function benchThaw(bench: Bench, rounds: number): Promise<Row[]> {
  const eager: Row[] = [];
  const lazy: Row[] = [];
  const memory: Row[] = [];
  for (const place of bench.places) {
    for (const size of SIZES) {
      const image = join(place.folder, 'frozen.bin');
      memory.push(await freezeTarget(bench, place, size, image));
      // 4 GiB read eagerly tell no more than 1 GiB does, and take as long again.
      if (size <= GIB) eager.push(...(await eagerRows(bench, place, size, image, rounds)));
      lazy.push(await lazyRow(bench, place, size, image, rounds));
      rmSync(image);
    }
  }
  return [...eager, ...lazy, ...memory];
}

async function freezeTarget(bench: Bench, place: Place, size: number, image: string): Promise<Row> {
  const target = await startTarget(bench, { bytes: size });
  const { peak } = await freezeAndWatch(target.pid, image, ['--kill']);
  await end(target);
  return memoryRow(`${mebibytes(size)} to ${place.name}`, peak);
}

/** The tool's peak memory, in bytes, with its target. */
export function memoryRow(what: string, peak: number): Row {
  return {
    what: `${what}: peak memory of the tool`,
    figures: mebibytes(peak),
    result: mebibytes(peak),
    target: { text: `at most ${mebibytes(MOST_MEMORY)}`, met: peak <= MOST_MEMORY },
  };
}

async function eagerRows(
  bench: Bench,
  place: Place,
  size: number,
  image: string,
  rounds: number,
): Promise<Row[]> {
  const same: number[] = [];
  const fresh: number[] = [];
  const plain: number[] = [];
  for (let round = 0; round < rounds; round++) {
    plain.push(await timeToGoOn(bench, bench.helper('read'), [image]));
    same.push(await timeToGoOn(bench, image, []));
    fresh.push(await timeToGoOn(bench, image, ['--pid=new']));
  }
  const read = median(plain);
  const what = `eager thaw of ${mebibytes(size)} from ${place.name}`;
  const peer = `read ${milliseconds(plain)}`;
  return [
    ratioRow(what, `${milliseconds(same)}, ${peer}`, median(same) / read, MOST_EAGER),
    ratioRow(`${what}, --pid=new`, `${milliseconds(fresh)}, ${peer}`, median(fresh) / read, MOST_EAGER),
  ];
}

async function lazyRow(
  bench: Bench,
  place: Place,
  size: number,
  image: string,
  rounds: number,
): Promise<Row> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) times.push(await timeToGoOn(bench, image, ['--lazy']));
  const result = median(times);
  return {
    what: `lazy thaw of ${mebibytes(size)} from ${place.name}`,
    figures: milliseconds(times),
    result: `${result.toPrecision(2)} ms`,
    target: { text: `at most ${MOST_LAZY} ms`, met: result <= MOST_LAZY },
  };
}
