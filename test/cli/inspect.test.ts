import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { escapeJson, escapeText, jsonText } from '../../src/cli/inspect/escape.js';
import { styleFor } from '../../src/cli/inspect/style.js';
import { type InspectOptions, inspectImage } from '../../src/cli/inspect.js';
import type { Image } from '../../src/image/read.js';
import type { Process } from '../../src/snapshot/schema.js';
import { makeFixture } from '../image/fixture.js';
import { makeRegion, makeSnapshot, makeThread } from '../snapshot/fixture.js';

function makeImage(changes: Partial<Process> = {}): Image {
  const { layout } = makeFixture(3);
  const empty = { address: 0x1000n, bytes: new Uint8Array(0) };
  return {
    path: 'frozen.bin',
    size: 123_456,
    entry: layout.entry,
    snapshot: makeSnapshot(changes),
    segments: layout.segments,
    sections: layout.sections,
    notes: [],
    thaw: { text: empty, data: empty, headerAddress: 0n },
  };
}

async function inspect(image: Image, options: InspectOptions = {}): Promise<string> {
  const stream = new PassThrough();
  const result = text(stream);
  await inspectImage(image, options, stream);
  stream.end();
  return result;
}

test('the text names the process, its threads, regions, descriptors, signals and timers', async (t) => {
  const output = await inspect(makeImage());
  for (const part of [
    /command +counter --to 100/,
    /frozen +2025-10-09T08:53:20\.000Z/,
    /needs +x87 SSE AVX/,
    /^Process 4242 counter$/m,
    /rip +0000000000401000/,
    /000000401000-000000402000 +4\.0 KiB +rw-p +anonymous/,
    /3 +file +O_WRONLY\|O_APPEND close-on-exec +file 1 +\/var\/log\/counter\.log \(regular, at 20\), 1 locks/,
    /SIGUSR1 +handler 0x401100/,
    /timer 0 +1\.5 s left, then every 2 s, CLOCK_MONOTONIC, SIGALRM/,
  ]) {
    t.regex(output, part);
  }
});

test('threads tell the call that they are in, and their I/O priority', async (t) => {
  const sleep = { number: 230, remaining: 1_500_000_000n };
  const threads = [makeThread(4242, { sleep, ioPriority: (2 << 13) | 6 })];
  t.regex(await inspect(makeImage({ threads })), /in clock_nanosleep, 1\.5 s left;.* I\/O class 2, level 6/);
});

test('the JSON holds all of it', async (t) => {
  const value = JSON.parse(await inspect(makeImage(), { json: true }));
  const [process] = value.processes;
  t.is(process.threads[0].registers.rip, '0x401000');
  t.is(process.threads[0].xstate.length, 2 * 2696);
  t.is(process.regions[0].start, '0x401000');
  t.is(process.regions[0].permissions, 'rw-p');
  t.is(process.descriptors.files[1].offset, 20);
  t.is(process.signalActions[9].name, 'SIGUSR1');
  t.is(process.posixTimers[0].remaining, 1_500_000_000);
  t.is(value.taken.date, '2025-10-09T08:53:20.000Z');
  t.is(value.segments[0].vaddr, '0x400000');
});

const EVIL = '\x1b]0;owned\x07\x9b2J\u202e\r\n';

/** What can only be one of a few words. */
const ENUMS = ['kind', 'type', 'end', 'reopen'];

/** A value in which every text that may be any is evil. */
function spoil(value: unknown): unknown {
  if (typeof value === 'string') return EVIL;
  if (Array.isArray(value)) return value.map(spoil);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, ENUMS.includes(key) ? member : spoil(member)]),
  );
}

test('nothing in an image can give orders to the terminal', async (t) => {
  const regions = [makeRegion(0x1000n, { path: 'a path' })];
  const whole = makeImage({ regions, threads: [makeThread(1)], commandLine: ['', ''], root: '/chroot' });
  const image: Image = {
    ...whole,
    path: EVIL,
    snapshot: spoil(whole.snapshot) as Image['snapshot'],
    sections: spoil(whole.sections) as Image['sections'],
  };
  const forbidden = /[^\P{Cc}\n]|\u202e/u;
  const output = await inspect(image);
  t.notRegex(output, forbidden);
  // Nothing of it makes a line of its own either.
  t.is(output.split('\n').length, (await inspect(whole)).split('\n').length);
  const json = await inspect(image, { json: true });
  t.notRegex(json, forbidden);
  t.is(JSON.parse(json).processes[0].comm, EVIL);
});

test('the listing of the thaw programs is safe to print, too', async (t) => {
  const program = (_data: Uint8Array, address: bigint) => `main:\n  open("a\\n", 0) ${address} \x1b[2J\n`;
  t.is(await inspect(makeImage(), { program }), 'main:\n  open("a\\n", 0) 4096 \\x1b[2J\n');
  const value = JSON.parse(await inspect(makeImage(), { program, json: true }));
  t.deepEqual(value.program, ['main:', '  open("a\\n", 0) 4096 \\x1b[2J']);
});

test('escapes are unambiguous, ordinary text stays as it is', (t) => {
  t.is(escapeText('/home/ümläut ☃ 🐧'), '/home/ümläut ☃ 🐧');
  t.is(escapeText('a\\x1b\x1b'), 'a\\\\x1b\\x1b');
  t.is(escapeText('\ud800\u2028'), '\\u{d800}\\u{2028}');
  t.is(escapeText('\udc9b\u009b'), '\\x9b\\u{9b}');
  t.is(escapeJson('\u0085"'), '"\\u0085\\""');
  t.is(jsonText({ a: '\n\u0085' }), '{\n  "a": "\\n\\u0085"\n}\n');
});

test('colours only for a terminal that wants them', (t) => {
  const coloured = (isTTY: boolean, environment: NodeJS.ProcessEnv) =>
    styleFor({ isTTY }, environment).heading('x') !== 'x';
  t.true(coloured(true, {}));
  t.false(coloured(false, {}));
  t.false(coloured(true, { NO_COLOR: '1' }));
  t.false(coloured(true, { TERM: 'dumb' }));
});

test('a reader that has had enough is no error', async (t) => {
  const stream = new PassThrough();
  stream.destroy(Object.assign(new Error('EPIPE'), { code: 'EPIPE' }));
  stream.on('error', () => undefined);
  await t.notThrowsAsync(inspectImage(makeImage(), {}, stream));
});
