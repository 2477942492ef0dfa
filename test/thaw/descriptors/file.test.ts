import { readFileSync, statSync, truncateSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { FileDecisions, parseFileChoices } from '../../../src/proc/file-choices.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { refusal, restore, roundTrip, withContent } from './support.js';

const CHECK = 2;
const opened = `
open("input", "w").write("0123456789")
open("log", "w").write("12345")
at(os.open("input", os.O_RDONLY), 10); os.lseek(10, 3, 0)
a = at(os.open("log", os.O_RDWR | os.O_APPEND), 11); os.write(a, b"6")
at(os.open("log", os.O_RDONLY), 12)
at(os.open("/proc/meminfo", os.O_RDONLY), 13)
at(os.open("log", os.O_PATH), 14)
`;

test('regular files, directories and devices', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
a = at(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 10)
os.write(a, b"twenty bytes of log.")
os.dup2(a, 11, inheritable=False)
at(os.open("log", os.O_RDONLY | os.O_NONBLOCK | os.O_SYNC), 3)
at(os.open(".", os.O_RDONLY | os.O_DIRECTORY), 13)
at(os.open("log", os.O_PATH), 14)
os.dup2(11, 1)
at(os.open("/dev/urandom", os.O_RDONLY), 15)
x = os.open("log", os.O_RDWR); os.lseek(x, 1000, 0); os.dup2(x, 2); os.close(x)
`,
  );
  t.deepEqual(after.table, before.table);
});

test('a file that has lost the name by which it was opened, and has another', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(os.open("one", os.O_RDWR | os.O_CREAT), 10)
os.write(10, b"content"); os.link("one", "beside"); os.unlink("one")
at(os.open("two", os.O_RDWR | os.O_CREAT), 11)
os.mkdir("far"); os.link("two", "far/away"); at(os.open("far/away", os.O_RDONLY), 12)
os.rename("beside", "two")
`,
  );
  t.deepEqual(after.table, before.table);
  const names = before.table.files.map((file) => (file.kind === 'file' ? file.path.split('/').at(-1) : ''));
  t.deepEqual(names.slice(-3), ['two', 'away', 'away']);
});

test('refusals name the file, the descriptor and why', async (t) => {
  const target = await startTarget(
    t,
    `
f = at(os.open("log", os.O_RDWR | os.O_CREAT), 10)
os.write(f, b"x" * 20)
`,
  );
  const { table, objects } = capture(target);
  const planned = withContent(table, objects);
  const log = join(target.folder, 'log');
  truncateSync(log, 19);
  const shorter = `cannot reopen ${log} (descriptor 10, file): the file is shorter than the offset 20\n`;
  t.is(await refusal(t, planned), shorter);
  t.is(await refusal(t, planned, 2), shorter);
  unlinkSync(log);
  t.is(await refusal(t, planned), `cannot reopen ${log} (descriptor 10, file): No such file or directory\n`);
});

test('chosen paths: an offset where there can be one', async (t) => {
  const { after } = await roundTrip(
    t,
    `
f = at(os.open("log", os.O_RDWR | os.O_CREAT), 10)
os.write(f, b"x" * 20)
os.dup2(os.open("log", os.O_RDWR), 11)
os.lseek(11, 7, 0)
open("copy", "w").write("y" * 20)
at(socket.socket().detach(), 12)
`,
    parseChoices([3, 4, 5].slice(0, 0), ['10=/dev/null', '12=/dev/zero'], '/'),
  );
  const paths = after.table.files.flatMap((file) => (file.kind === 'file' ? [[file.path, file.offset]] : []));
  t.true(paths.some(([path, offset]) => path === '/dev/null' && offset === 0n));
  t.true(paths.some(([path]) => path === '/dev/zero'));
  t.true(paths.some(([path, offset]) => String(path).endsWith('/log') && offset === 7n));
});

test('a file that is only read must have its size and its time of modification', async (t) => {
  const target = await startTarget(t, opened);
  const { table, objects, problems } = capture(target);
  t.deepEqual(problems, []);
  const [input, log] = [join(target.folder, 'input'), join(target.folder, 'log')];
  const { mtimeNs } = statSync(input, { bigint: true });
  t.like(fileOf({ table }, 10), { size: 10n, modified: mtimeNs });
  for (const fd of [11, 12, 14]) t.like(fileOf({ table }, fd), { size: 6n, modified: null });
  t.like(fileOf({ table }, 13), { size: 0n, modified: null });
  const planned = withContent(table, objects);
  await restore(t, planned);

  // Others may write to what the process writes to itself.
  writeFileSync(log, '1234567', { flag: 'w' });
  await restore(t, planned);
  const seconds = Number(mtimeNs / 1_000_000_000n);
  utimesSync(input, seconds, seconds);
  await restore(t, planned);
  const line = `cannot reopen ${input} (descriptor 10, file): `;
  for (const change of [
    () => utimesSync(input, seconds + 1, seconds + 1),
    () => utimesSync(input, seconds + 0.001, seconds + 0.001),
  ]) {
    change();
    const modified = `${line}it has been modified since the freeze\n`;
    t.is(await refusal(t, planned), modified);
    t.is(await refusal(t, planned, CHECK), modified);
  }
  writeFileSync(input, '01234567890');
  utimesSync(input, seconds, seconds);
  t.is(await refusal(t, planned), `${line}it no longer has the 10 bytes that it had\n`);
  writeFileSync(log, '12345');
  writeFileSync(input, '0123456789');
  utimesSync(input, seconds, seconds);
  t.is(
    await refusal(t, planned),
    `cannot reopen ${log} (descriptor 11, file): the file is shorter than the offset 6\n`,
  );
});

test('embedded files: content, offsets, flags and locks, shared by all their descriptors', async (t) => {
  const target = await startTarget(
    t,
    `${opened}
os.link("log", "other"); at(os.open("other", os.O_RDWR), 15)
fcntl.flock(11, fcntl.LOCK_EX)
os.unlink("input")
os.symlink("log", "name")
`,
  );
  const log = join(target.folder, 'log');
  const name = join(target.folder, 'name');
  const files = new FileDecisions(parseFileChoices('reopen', [`${name}=embed`]));
  const before = capture(target, undefined, files);
  t.deepEqual(before.problems, []);
  files.assertUsed(target.pid);
  t.deepEqual(
    [11, 12, 14, 15].map((fd) => fileOf(before, fd).kind),
    ['object', 'object', 'object', 'object'],
  );
  t.is(before.objects.objects.length, 2, 'what was deleted is the other one');
  const planned = withContent(before.table, before.objects);
  const child = await restore(t, planned);
  const after = capture({ pid: child.pid! });
  t.deepEqual(after.problems, []);
  t.deepEqual(after.table, before.table);
  t.deepEqual(withContent(after.table, after.objects).content, planned.content);
  writeFileSync(`/proc/${child.pid}/fd/11`, 'private');
  t.is(readFileSync(log, 'utf8'), '123456');
});

test('--files embed takes what is refused otherwise, but nothing that the kernel makes up', async (t) => {
  const target = await startTarget(
    t,
    `${opened}
os.rename("input", "moved"); open("input", "w").write("another")
at(os.open("/proc/1/status", os.O_RDONLY), 15)
`,
  );
  const input = join(target.folder, 'input');
  t.is(capture(target).problems.length, 1);
  writeFileSync(join(target.folder, 'log2'), '');
  const named = new FileDecisions(parseFileChoices('reopen', ['/proc/meminfo=embed']));
  t.true(
    capture(target, undefined, named).problems.some((line) =>
      /^descriptor 13 \(file, \/proc\/meminfo\) cannot be carried: its content is made up/.test(line),
    ),
  );
  const all = new FileDecisions(parseFileChoices('embed', [`${join(target.folder, 'log')}=${input}`]));
  const { table, problems } = capture(target, undefined, all);
  t.is(problems.length, 1);
  t.regex(problems[0]!, /^descriptor 15 /);
  t.is(table.files.length, 0);
});

test('what is printed to a file that is embedded does not get lost without a word', async (t) => {
  const target = await startTarget(
    t,
    'at(os.open("out", os.O_WRONLY | os.O_CREAT), 1); at(os.open("out", os.O_RDONLY), 0)',
  );
  const { warnings } = capture(target, undefined, new FileDecisions(parseFileChoices('embed', [])));
  const line = `descriptor 1 (file, ${join(target.folder, 'out')}) is embedded: what the image prints there ends with it; --fd 1=inherit prints to whoever starts it`;
  t.deepEqual(warnings, [line]);
});
