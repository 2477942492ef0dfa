import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Process } from '../../src/snapshot/schema.js';
import type { Arena } from '../../src/thaw/arena.js';
import { Flag, type Op } from '../../src/thaw/program.js';
import { vdsoEntries, vdsoPlan } from '../../src/thaw/vdso.js';
import { testAsRoot } from '../e2e/harness/needs.js';
import { makeRegion, makeSnapshot } from '../snapshot/fixture.js';
import { CODE, codeSegments, lastActs, WORK } from './support/finish.js';
import { buildImage, place, scratchPath } from './support/image.js';
import { main, say } from './support/ops.js';
import { compileFlat, killAll, run, start, until } from './support/run.js';
import { readVdso } from './support/vdso.js';

const vdso = readVdso();
/** Where the frozen vDSO lay. */
const AT = 0x3000_0000n;
const VVAR = AT - BigInt(vdso.vvarSize);
const entries = vdsoEntries(vdso.image);
test.after.always(killAll);

const code = compileFlat('clock.c', CODE);

function frozen(image: Uint8Array, vvarSize: number, at = AT): Process {
  const regions =
    image.length === 0
      ? []
      : [
          makeRegion(at - BigInt(vvarSize), { end: at, backing: { kind: 'vvar' }, extents: [] }),
          makeRegion(at, {
            end: at + BigInt(image.length),
            backing: { kind: 'vdso', image },
            extents: [],
          }),
        ];
  return makeSnapshot({ regions }).processes[0]!;
}

interface Options {
  image?: Uint8Array;
  vvarSize?: number;
  /** Leaves the frozen vDSO alone; the code calls nothing. */
  none?: boolean;
  wait?: boolean;
  parkingSize?: number;
  plan?: (arena: Arena) => bigint;
}

/** An image that moves the vDSO, then calls it where the frozen one lay. */
function makeImage(options: Options): string {
  const { image = vdso.image, vvarSize = vdso.vvarSize, none, wait, parkingSize } = options;
  const process = frozen(none ? new Uint8Array() : image, vvarSize);
  const makePlan = options.plan ?? ((arena: Arena) => vdsoPlan(arena, process));
  return buildImage((arena) => {
    const parameters = Buffer.alloc(32);
    ['clock_gettime', 'time', 'getcpu'].forEach((name, i) => {
      const entry = entries.find((candidate) => candidate.name === `__vdso_${name}`)!;
      if (!none) parameters.writeBigUInt64LE(AT + BigInt(entry.offset), i * 8);
    });
    parameters.writeBigInt64LE(wait ? 1n : 0n, 24);
    const acts = lastActs(arena, [{ registers: { rip: CODE, rdi: WORK, rsp: WORK + 0x10000n - 8n } }]);
    const [, work] = codeSegments(code);
    const bytes = Buffer.alloc(4096);
    bytes.set(parameters);
    const ops: Op[] = [
      ...acts.begin,
      {
        op: 'builtin',
        name: 'park_vdso',
        args: [place.parking, parkingSize ?? place.parkingSize],
        label: 'cannot park',
      },
      { op: 'builtin', name: 'place_vdso', args: [makePlan(arena)] },
      say(arena, 'foreign ', { when: Flag.FOREIGN_VDSO }),
      say(arena, 'same    ', { unless: Flag.FOREIGN_VDSO }),
      acts.finish,
    ];
    return {
      programs: [main(...ops), ...acts.programs],
      segments: [codeSegments(code)[0]!, { ...work!, bytes }],
    };
  });
}

interface Seen {
  readonly which: string;
  readonly result: bigint;
  /** Nanoseconds between the answer of the vDSO and the kernel's. */
  readonly apart: bigint;
  readonly time: bigint;
  readonly getcpu: bigint;
  readonly cpu: bigint;
}

function decode(stdout: Buffer): Seen {
  const word = (i: number): bigint => stdout.readBigInt64LE(8 + i * 8);
  return {
    which: stdout.toString('latin1', 0, 8).trim(),
    result: BigInt.asIntN(32, word(0)),
    apart: word(3),
    time: word(4),
    getcpu: BigInt.asIntN(32, word(5)),
    cpu: word(6),
  };
}

function assertWorks(t: ExecutionContext, seen: Seen): void {
  t.is(seen.result, 0n);
  t.true(seen.apart >= 0n && seen.apart < 1_000_000_000n, `${seen.apart} ns`);
  t.true(Math.abs(Number(seen.time) - Date.now() / 1000) < 10);
  t.is(seen.getcpu, 0n);
  t.true(seen.cpu < 4096n);
}

test('the same vDSO is moved to where the frozen one lay', (t) => {
  const { stdout, stderr, status } = run(makeImage({}));
  t.is(stderr, '');
  t.is(status, 0);
  const seen = decode(stdout);
  t.is(seen.which, 'same');
  assertWorks(t, seen);
});

/** The captured bytes with one changed where no code lies: in the padding at the end. */
function altered(): Buffer {
  const image = Buffer.from(vdso.image);
  image[image.length - 1]! ^= 1;
  return image;
}

test("another vDSO's entries jump to this kernel's", (t) => {
  const seen = decode(run(makeImage({ image: altered() })).stdout);
  t.is(seen.which, 'foreign');
  assertWorks(t, seen);
});

test('a vDSO with other data pages is foreign, even with the same code', (t) => {
  const seen = decode(run(makeImage({ vvarSize: vdso.vvarSize + 4096 })).stdout);
  t.is(seen.which, 'foreign');
  assertWorks(t, seen);
});

/** `struct vdso_plan` whose entries have names that no vDSO has. */
function strangePlan(arena: Arena): bigint {
  const image = altered();
  const numbers: Readonly<Record<string, number>> = { clock_gettime: 228, time: 201, getcpu: 309 };
  const named = Object.entries(numbers).map(([name, number]) => ({
    number,
    offset: entries.find((entry) => entry.name === `__vdso_${name}`)!.offset,
  }));
  const table = Buffer.alloc(named.length * 16);
  named.forEach(({ number, offset }, i) => {
    table.writeBigUInt64LE(arena.string(`__vdso_unknown_${number}`), i * 16);
    table.writeUInt32LE(offset, i * 16 + 8);
    table.writeInt32LE(number, i * 16 + 12);
  });
  const size = BigInt(vdso.image.length);
  const words = [AT, size, arena.bytes(image), VVAR, AT - VVAR, arena.bytes(table), BigInt(named.length)];
  return arena.bytes(Buffer.from(new BigUint64Array(words).buffer));
}

test("an entry that this kernel's vDSO lacks makes the system call", (t) => {
  const seen = decode(run(makeImage({ plan: strangePlan })).stdout);
  t.is(seen.which, 'foreign');
  assertWorks(t, seen);
});

async function mapsOf(path: string): Promise<string> {
  const process = start(path);
  await until(() => process.output().length >= 72, 'the output');
  const maps = readFileSync(`/proc/${process.pid}/maps`, 'utf8');
  process.kill('SIGKILL');
  await process.ended;
  return maps;
}

const line = (maps: string, name: string): string[] =>
  maps
    .split('\n')
    .filter((text) => text.endsWith(name))
    .map((text) => text.split(' ')[0]!);

test("the kernel's vDSO and its data have the frozen addresses", async (t) => {
  const maps = await mapsOf(makeImage({ wait: true }));
  const end = AT + BigInt(vdso.image.length);
  t.deepEqual(line(maps, '[vdso]'), [`${AT.toString(16)}-${end.toString(16)}`]);
  t.true(line(maps, '[vvar]')[0]!.startsWith(`${VVAR.toString(16)}-`));
});

test("a foreign vDSO is ordinary memory, and the kernel's stays parked", async (t) => {
  const maps = await mapsOf(makeImage({ wait: true, image: altered() }));
  const parked = place.parking + BigInt(vdso.vvarSize);
  const end = parked + BigInt(vdso.image.length);
  t.deepEqual(line(maps, '[vdso]'), [`${parked.toString(16)}-${end.toString(16)}`]);
  t.regex(maps, new RegExp(`^${AT.toString(16)}-[0-9a-f]+ r-xp 00000000 00:00 0`, 'm'));
  t.regex(maps, new RegExp(`^${VVAR.toString(16)}-${AT.toString(16)} r--p 00000000 00:00 0`, 'm'));
});

test('a process without a vDSO stays without', async (t) => {
  const maps = await mapsOf(makeImage({ none: true, wait: true }));
  t.false(maps.includes('[vdso]'));
  t.false(maps.includes('[vvar'));
});

test('a parking place that is too small is an error', (t) => {
  const { status, stderr } = run(makeImage({ parkingSize: 4096 }));
  t.is(status, 125);
  t.regex(stderr, /: cannot park: ENOMEM\n$/);
});

testAsRoot('the vDSO is found without /proc', (t) => {
  const root = scratchPath('root');
  mkdirSync(root);
  copyFileSync(makeImage({}), join(root, 'image'));
  const { stdout, stderr } = run('/usr/sbin/chroot', [root, '/image']);
  t.is(stderr, '');
  const seen = decode(stdout);
  t.is(seen.which, 'same');
  assertWorks(t, seen);
});
