import { spawnSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { PermissionError, Proc2elfError, TargetError } from '../../src/errors.js';
import { MAX_SEGMENTS } from '../../src/image/layout.js';
import { loadNative, type Native } from '../../src/image/native.js';
import { prepareOutput } from '../../src/image/output.js';
import { writeContents, writeImage } from '../../src/image/write.js';
import { contentFile, temporaryDirectory } from './files.js';
import { makeFixture } from './fixture.js';

const native = await loadNative();

/** An addon whose copy fails as the kernel would. */
function failing(code: string, syscall: 'read' | 'write'): Native {
  return {
    ...native,
    syscall: native.syscall,
    copy: () => Promise.reject(Object.assign(new Error(code), { code, syscall })),
  };
}

test('the kernel runs an image, its segments hold what was copied', async (t) => {
  const path = join(temporaryDirectory(t), 'frozen.bin');
  const { layout, snapshot } = makeFixture(3, { fd: contentFile(t, 3) });
  const report = await writeImage(path, layout, snapshot);
  t.is(spawnSync(path).status, 42);
  const stats = statSync(path);
  t.is(stats.mode & 0o7777, 0o700);
  t.is(stats.size, report.bytes);
  t.is(report.diskBytes, stats.blocks * 512);
  t.is(report.zero, 4096);
  const first = layout.copies[0]?.offset ?? 0;
  t.true(
    readFileSync(path)
      .subarray(first, first + 4096)
      .every((byte) => byte === 1),
  );
});

test('the kernel runs an image of as many segments as there can be', async (t) => {
  const path = join(temporaryDirectory(t), 'frozen.bin');
  const count = MAX_SEGMENTS - 2;
  const { layout, snapshot } = makeFixture(count, { fd: contentFile(t, count), loose: 500 });
  await writeImage(path, layout, snapshot);
  t.is(spawnSync(path).status, 42);
});

test('images of the same snapshot are equal, streamed or not', async (t) => {
  const directory = temporaryDirectory(t);
  const script = join(import.meta.dirname, 'write-to-stdout.js');
  const paths = ['a', 'b'].map((name) => join(directory, name));
  for (const path of paths) {
    const { layout, snapshot } = makeFixture(9, { fd: contentFile(t, 9) });
    await writeImage(path, layout, snapshot);
  }
  const [a, b] = paths.map((path) => readFileSync(path));
  t.true(a?.equals(b ?? Buffer.alloc(0)));
  const streamed = spawnSync(process.execPath, [script], { maxBuffer: 1 << 30 });
  t.is(streamed.stderr.toString(), '');
  t.true(a?.equals(streamed.stdout));
});

test('a reader that has gone is one clear error', (t) => {
  const script = join(import.meta.dirname, 'write-to-stdout.js');
  const command = `"$0" "$1" 400 | head -c 1 >/dev/null; test "\${PIPESTATUS[0]}" = 1`;
  const result = spawnSync('bash', ['-c', command, process.execPath, script]);
  t.regex(result.stderr.toString(), /^PermissionError: cannot write to stdout: EPIPE/);
});

test('the umask does not matter', async (t) => {
  const path = join(temporaryDirectory(t), 'frozen.bin');
  const { layout, snapshot } = makeFixture(1, { fd: contentFile(t, 1) });
  const before = process.umask(0o777);
  await writeImage(path, layout, snapshot).finally(() => process.umask(before));
  t.is(statSync(path).mode & 0o777, 0o700);
});

test('files and links to them are replaced, the targets of links are left alone', async (t) => {
  const directory = temporaryDirectory(t);
  const { layout, snapshot } = makeFixture(1, { fd: contentFile(t, 1) });
  const [old, link] = ['old', 'link'].map((name) => join(directory, name));
  writeFileSync(old ?? '', 'old');
  symlinkSync('old', link ?? '');
  await writeImage(link ?? '', layout, snapshot);
  t.throws(() => readlinkSync(link ?? ''), { code: 'EINVAL' });
  t.is(readFileSync(old ?? '', 'utf8'), 'old');
  await writeImage(old ?? '', layout, snapshot);
  t.deepEqual(readdirSync(directory).sort(), ['link', 'old']);
});

test('dangling links, and files that are read-only, are replaced', async (t) => {
  const directory = temporaryDirectory(t);
  const { layout, snapshot } = makeFixture(1, { fd: contentFile(t, 1) });
  const link = join(directory, 'link');
  const old = join(directory, 'old');
  symlinkSync('nowhere', link);
  writeFileSync(old, 'old', { mode: 0o444 });
  for (const path of [link, old]) {
    await writeImage(path, layout, snapshot);
    t.is(lstatSync(path).mode, 0o100700);
    t.is(spawnSync(path).status, 42);
  }
  t.deepEqual(readdirSync(directory).sort(), ['link', 'old']);
});

test('links to descriptors are refused, whatever these are, and left alone', async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, 'file');
  writeFileSync(file, 'as it was');
  const fd = openSync(file, 'r+');
  t.teardown(() => closeSync(fd));
  const links: readonly (readonly [string, string])[] = [
    // As /dev/stdout, when stdout is a file and when it is closed; through a folder, as /dev/fd is; by detours.
    ['open', `/proc/self/fd/${fd}`],
    ['closed', '/proc/self/fd/999'],
    ['fd', '/proc/self/fd'],
    ['folder', `fd/${fd}`],
    ['detour', 'open'],
  ];
  for (const [name, to] of links) symlinkSync(to, join(directory, name));
  for (const [name, to] of links) {
    if (name === 'fd') continue;
    const path = join(directory, name);
    const message = /leads into \/proc, not to a file; to stream the image use -o -/;
    await t.throwsAsync(prepareOutput(path), { instanceOf: PermissionError, message }, name);
    t.is(readlinkSync(path), to);
  }
  t.is(readFileSync(file, 'utf8'), 'as it was');
});

test('bad places are refused before anything is written', async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, 'folder'));
  symlinkSync('/dev/null', join(directory, 'null'));
  symlinkSync('folder', join(directory, 'folder-link'));
  symlinkSync('loop', join(directory, 'loop'));
  t.is(spawnSync('mkfifo', [join(directory, 'fifo')]).status, 0);
  const names = readdirSync(directory).sort();
  const cases: readonly (readonly [string, RegExp])[] = [
    [join(directory, 'folder'), /it is a folder/],
    [join(directory, 'null'), /it is not a file; to stream the image use -o -/],
    [join(directory, 'fifo'), /it is not a file; to stream the image use -o -/],
    [join(directory, 'folder-link'), /it is a folder/],
    [join(directory, 'loop'), /ELOOP/],
    ['/dev/null', /it is not a file/],
    ['/dev/full', /it is not a file/],
    [`${directory}/`, /name a file/],
  ];
  for (const [path, message] of cases) {
    await t.throwsAsync(prepareOutput(path), { instanceOf: Proc2elfError, message }, path);
  }
  await t.throwsAsync(prepareOutput(join(directory, 'missing', 'a')), {
    instanceOf: PermissionError,
    message: /ENOENT \(the folder does not exist/,
  });
  await t.throwsAsync(prepareOutput(join(directory, 'x'.repeat(300))), { message: /ENAMETOOLONG/ });
  t.deepEqual(readdirSync(directory).sort(), names);
});

/** An addon to which every file system has this type, these flags, and `free` blocks of 4 KiB. */
function onFileSystem(type: bigint, flags: bigint, free: bigint): Native {
  return {
    copy: native.copy,
    syscall(_number, _fd, buffer) {
      const words = new BigUint64Array((buffer as Uint8Array).buffer);
      words.set([type, 4096n, 1000n, free, free, 0n, 0n, 0n, 255n, 4096n, flags]);
      return 0n;
    },
  };
}

const EXT4 = 0xef53n;

test('file systems that are full or noexec are refused before anything is written', async (t) => {
  const directory = temporaryDirectory(t);
  const statfs = (flags: bigint, free: bigint) => onFileSystem(EXT4, flags, free);
  const prepare = (addon: Native) => prepareOutput(join(directory, 'a'), { native: addon, needed: 1 << 20 });
  await t.throwsAsync(prepare(statfs(8n, 1000n)), {
    instanceOf: PermissionError,
    message: /mounted noexec.*-o -/,
  });
  await t.throwsAsync(prepare(statfs(1n, 1000n)), { instanceOf: PermissionError, message: /read-only/ });
  await t.throwsAsync(prepare(statfs(0n, 10n)), {
    instanceOf: PermissionError,
    message: /no space left: 1\.0 MiB are needed, 40\.0 KiB are free/,
  });
  t.deepEqual(readdirSync(directory), []);
});

test('the disk is waited for where nothing less will do', async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, 'present'), 'image of before');
  const NFS = 0x6969n;
  const cases = [
    ['new', EXT4, false, false],
    ['new', EXT4, true, true],
    ['present', EXT4, false, true],
    ['new', NFS, false, true],
  ] as const;
  for (const [name, type, durable, expected] of cases) {
    const addon = onFileSystem(type, 0n, 1000n);
    const output = await prepareOutput(join(directory, name), { native: addon, durable });
    t.is(output.durable, expected, `${name} on ${type.toString(16)}, durable: ${durable}`);
    await output.discard();
  }
  t.deepEqual(readdirSync(directory), ['present']);
});

test('whatever fails, nothing stays behind', async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'frozen.bin');
  const { layout, snapshot } = makeFixture(2, { fd: contentFile(t, 2) });
  const full = failing('ENOSPC', 'write');
  await t.throwsAsync(writeImage(path, layout, snapshot, { native: full }), {
    instanceOf: PermissionError,
    message: /^cannot write .*frozen\.bin: ENOSPC \(no space left on the file system; .* are needed\)$/,
  });
  const gone = failing('ESRCH', 'read');
  await t.throwsAsync(writeImage(path, layout, snapshot, { native: gone }), { instanceOf: TargetError });
  const signal = AbortSignal.abort(new Error('enough'));
  await t.throwsAsync(writeImage(path, layout, snapshot, { signal }), { message: 'enough' });
  const late = new AbortController();
  const stopped: Native = {
    ...native,
    syscall: native.syscall,
    copy: (...args) => {
      late.abort(new Error('enough'));
      return native.copy(...args);
    },
  };
  await t.throwsAsync(writeImage(path, layout, snapshot, { signal: late.signal, native: stopped }), {
    message: 'enough',
  });
  t.deepEqual(readdirSync(directory), []);
});

test('until the end the image has no name, or no one else can read it', async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'frozen.bin');
  const { layout, snapshot } = makeFixture(2, { fd: contentFile(t, 2) });
  const output = await prepareOutput(path);
  await writeContents(output, layout, snapshot);
  for (const name of readdirSync(directory)) {
    t.regex(name, /^\.frozen\.bin\.[0-9a-f]{16}\.tmp$/);
    t.is(statSync(join(directory, name)).mode & 0o777, 0o700);
  }
  await output.commit();
  await output.discard();
  t.deepEqual(readdirSync(directory), ['frozen.bin']);
});

test('an image that is no longer wanted gets no name', async (t) => {
  const directory = temporaryDirectory(t);
  const { layout, snapshot } = makeFixture(2, { fd: contentFile(t, 2) });
  const output = await prepareOutput(join(directory, 'frozen.bin'));
  await writeContents(output, layout, snapshot);
  await t.throwsAsync(output.commit(AbortSignal.abort(new Error('enough'))), { message: 'enough' });
  t.deepEqual(readdirSync(directory), []);
});

test('progress ends at the total', async (t) => {
  const path = join(temporaryDirectory(t), 'frozen.bin');
  const { layout, snapshot } = makeFixture(5, { fd: contentFile(t, 5) });
  let last: readonly number[] = [];
  await writeImage(path, layout, snapshot, {
    onProgress: (done, total) => {
      last = [done, total];
    },
  });
  t.deepEqual(last, [5 * 4096, 5 * 4096]);
});
