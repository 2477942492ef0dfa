/**
 * Runs the benchmarks and prints one table; ratios are of figures of the same run, taken in turn.
 * A missed target is marked in the table and is no failure. `npm run bench -- hold` runs one part alone.
 */
import { cpus, release } from 'node:os';
import { benchCapture } from './capture.js';
import { endAll } from './gaps.js';
import { benchHold } from './hold.js';
import { type Bench, prepareBench } from './place.js';
import { formatTable, type Row } from './table.js';
import { benchThaw } from './thaw.js';

const PARTS: Readonly<Record<string, (bench: Bench, rounds: number) => Promise<Row[]>>> = {
  capture: benchCapture,
  thaw: benchThaw,
  hold: benchHold,
};
const ROUNDS = 5;

const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => !(name in PARTS));
if (unknown !== undefined) {
  console.error(`bench: there is no part ${unknown}: ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}

const bench = prepareBench();
const rows: Row[] = [];
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    await finish();
    process.exit(1);
  });
}
try {
  console.log(
    `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node.js ${process.version}\n`,
  );
  for (const [name, part] of Object.entries(PARTS)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    console.error(`bench: ${name} …`);
    rows.push(...(await part(bench, ROUNDS)));
  }
} finally {
  await finish();
}

/** Prints what was measured, also where something failed or was interrupted, and leaves nothing behind. */
async function finish(): Promise<void> {
  console.log(formatTable(rows));
  await endAll();
  bench.remove();
}
