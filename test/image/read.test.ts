import { spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ImageError } from '../../src/errors.js';
import { readMemory } from '../../src/image/memory.js';
import { readImage } from '../../src/image/read.js';
import { writeImage } from '../../src/image/write.js';
import { contentFile, temporaryDirectory } from './files.js';
import { makeFixture } from './fixture.js';
import { resign } from './resign.js';

async function makeImage(t: ExecutionContext): Promise<string> {
  const path = join(temporaryDirectory(t), 'frozen.bin');
  const { layout, snapshot } = makeFixture(3, { fd: contentFile(t, 3), loose: 2 });
  await writeImage(path, layout, snapshot);
  return path;
}

/** Reading ends well, or with an ImageError of one line; returns whether it ended well. */
async function readsOrRefuses(t: ExecutionContext, path: string, what: string): Promise<boolean> {
  try {
    await readImage(path);
    return true;
  } catch (error) {
    if (!(error instanceof ImageError) || error.message.includes('\n')) t.fail(`${what}: ${error}`);
    return false;
  }
}

test('an image comes back as it was written', async (t) => {
  const path = await makeImage(t);
  const { layout, snapshot } = makeFixture(3, { loose: 2 });
  const image = await readImage(path);
  t.deepEqual(image.snapshot, snapshot);
  t.deepEqual(image.segments, layout.segments);
  t.deepEqual(image.sections, layout.sections);
  t.is(image.entry, layout.entry);
  t.is(image.thaw.headerAddress, image.thaw.data.address + 0x10n);
  const text = Buffer.from(layout.chunks[0]!.bytes);
  text.writeBigUInt64LE(BigInt(statSync(path).size), 0x48);
  t.deepEqual(Buffer.from(image.thaw.text.bytes), text);
  t.deepEqual(
    image.notes.map(({ name, type }) => `${name} ${type}`),
    ['CORE 1', 'CORE 3', 'CORE 6', `CORE ${0x46494c45}`, 'CORE 2', 'LINUX 514', 'proc2elf 1'],
  );
});

test('memory can be read by address', async (t) => {
  const image = await readImage(await makeImage(t));
  t.deepEqual(await readMemory(image, 0x40_0ffen, 2), Uint8Array.of(1, 1));
  t.deepEqual(await readMemory(image, 0x40_8000n, 1), Uint8Array.of(3));
  t.deepEqual(await readMemory(image, 0x5000_0000_0000n, 2), Uint8Array.of(0, 0));
  await t.throwsAsync(readMemory(image, 0x40_0fffn, 2), {
    instanceOf: ImageError,
    message: /nothing was mapped/,
  });
});

test('files of other kinds are refused without waiting', async (t) => {
  const directory = temporaryDirectory(t);
  const fifo = join(directory, 'fifo');
  const empty = join(directory, 'empty');
  const huge = join(directory, 'huge');
  spawnSync('mkfifo', [fifo]);
  writeFileSync(empty, '');
  writeFileSync(huge, readFileSync('/proc/self/exe').subarray(0, 4096));
  truncateSync(huge, 2 ** 40);
  const cases: readonly (readonly [string, RegExp])[] = [
    ['/bin/sh', /not an image made by proc2elf/],
    [import.meta.filename, /not an ELF file/],
    [directory, /it is a folder/],
    [fifo, /it is not a file/],
    ['/dev/null', /it is not a file/],
    [empty, /too short/],
    [huge, /huge/],
    [join(directory, 'missing'), /ENOENT/],
  ];
  for (const [path, message] of cases) {
    const error = await t.throwsAsync(readImage(path), { instanceOf: ImageError, message }, path);
    t.false(error?.message.includes('\n'));
  }
});

test('a sparse file with strings without end is refused by its name', async (t) => {
  const path = await makeImage(t);
  const bytes = readFileSync(path);
  const headerOffset = Number(bytes.readBigUInt64LE(0x28));
  const strings = headerOffset + bytes.readUInt16LE(0x3e) * 64;
  const firstName = headerOffset + 64;
  const other = `${path}.sparse`;
  const cases: readonly (readonly [string, (image: Buffer) => void, RegExp])[] = [
    [
      'string table',
      (image) => image.writeBigUInt64LE(1n << 40n, strings + 32),
      /the string table is too long: 1099511627776/,
    ],
    [
      'name',
      (image) => {
        // The first section is named by the nonzero bytes of a whole table of them.
        image.writeBigUInt64LE(1n << 20n, strings + 32);
        image.writeUInt32LE(0x10000, firstName);
      },
      /no string in the string table/,
    ],
    [
      'notes',
      (image) => {
        for (let at = 64; at < 64 + image.readUInt16LE(0x38) * 56; at += 56) {
          if (image.readUInt32LE(at) === 4) image.writeBigUInt64LE(1n << 40n, at + 32);
        }
      },
      /notes are too long/,
    ],
  ];
  for (const [what, damage, message] of cases) {
    const image = Buffer.concat([bytes, Buffer.alloc(1 << 21, 0x61)]);
    damage(image);
    writeFileSync(other, image);
    truncateSync(other, 2 ** 41);
    const error = await t.throwsAsync(readImage(other), { instanceOf: ImageError, message }, what);
    t.true(error?.message.startsWith(`${other} is not an image`), what);
  }
});

/** An ELF file with `count` headers of notes, all of the same `size` bytes: zeros, which are notes of twelve bytes. */
function writeNotes(path: string, count: number, size: number): void {
  const headers = Buffer.alloc(64 + count * 56);
  headers.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  headers.writeUInt16LE(2, 16);
  headers.writeUInt16LE(62, 18);
  headers.writeBigUInt64LE(64n, 32);
  headers.writeUInt16LE(64, 52);
  headers.writeUInt16LE(56, 54);
  headers.writeUInt16LE(count, 56);
  const end = Math.ceil(headers.length / 4096) * 4096;
  for (let i = 0; i < count; i++) {
    const at = 64 + i * 56;
    headers.writeUInt32LE(4, at);
    headers.writeBigUInt64LE(BigInt(end), at + 8);
    headers.writeBigUInt64LE(BigInt(size), at + 32);
  }
  writeFileSync(path, headers);
  truncateSync(path, end + size);
}

test('note segments that overlap, and notes without end, are refused by their sums', async (t) => {
  const path = join(temporaryDirectory(t), 'notes');
  const cases: readonly (readonly [number, number, RegExp])[] = [
    // Nothing is wrong with each of them: that it is not an image shows only after all were read.
    [10, 1200, /not an image made by proc2elf/],
    [60_000, 120_000, /notes are too long: 7200000000/],
    [1, 13 << 20, /there are too many notes/],
    [2, 7 << 20, /there are too many notes/],
  ];
  for (const [count, size, message] of cases) {
    writeNotes(path, count, size - (size % 12));
    await t.throwsAsync(readImage(path), { instanceOf: ImageError, message }, `${count} of ${size}`);
  }
});

test('an image cut off anywhere, or longer than it was, is refused', async (t) => {
  const path = await makeImage(t);
  const bytes = readFileSync(path);
  const other = `${path}.cut`;
  for (let size = 0; size < bytes.length; size += size < 1000 || size > bytes.length - 1000 ? 37 : 997) {
    writeFileSync(other, bytes.subarray(0, size));
    t.false(await readsOrRefuses(t, other, `cut to ${size}`));
  }
  writeFileSync(other, Buffer.concat([bytes, Buffer.of(0)]));
  t.false(await readsOrRefuses(t, other, 'longer'));
});

test('a flipped bit in headers, thaw segments, notes or section headers is noticed', async (t) => {
  const path = await makeImage(t);
  const bytes = readFileSync(path);
  const { layout } = makeFixture(3, { loose: 2 });
  const headers = 64 + (layout.segments.length + 2) * 56;
  const ranges = [
    [0, headers, 1],
    [layout.chunks[0]?.offset ?? 0, layout.end, 311],
    [layout.end, bytes.length, 13],
  ] as const;
  const other = `${path}.flipped`;
  copyFileSync(path, other);
  const fd = openSync(other, 'r+');
  t.teardown(() => closeSync(fd));
  for (const [start, end, step] of ranges) {
    for (let at = start; at < end; at += step) {
      const flipped = (bytes[at] ?? 0) ^ (1 << (at % 8));
      writeSync(fd, Uint8Array.of(flipped), 0, 1, at);
      t.false(await readsOrRefuses(t, other, `byte ${at}`), `byte ${at}`);
      writeSync(fd, bytes, at, 1, at);
    }
  }
});

test('damage that the checksum was made for does no harm either', async (t) => {
  const path = await makeImage(t);
  const bytes = readFileSync(path);
  const other = `${path}.forged`;
  const values = [0, 1, 0x7fff_ffff, 0xffff_ffff];
  let readable = 0;
  // Every word of the headers, of the core notes' beginning and of the section headers.
  const tail = Number(bytes.readBigUInt64LE(40));
  for (const [start, end, step] of [
    [16, 400, 4],
    [tail, bytes.length, 8],
  ] as const) {
    for (let at = start; at + 4 <= end; at += step) {
      const forged = Buffer.from(bytes);
      forged.writeUInt32LE(values[(at / 4) % values.length] ?? 0, at);
      writeFileSync(other, resign(forged));
      if (await readsOrRefuses(t, other, `word at ${at}`)) readable++;
    }
  }
  // Not all words matter: where they do not, the checksum was right.
  t.true(readable > 0);
});
