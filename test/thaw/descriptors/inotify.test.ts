import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { OpenFileOf } from '../../../src/snapshot/descriptors.js';
import { Flag } from '../../../src/thaw/program.js';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { refusal, roundTrip, withContent } from './support.js';

const WATCH = `
def watch(fd, path, mask):
    return libc.inotify_add_watch(fd, path.encode(), ctypes.c_uint32(mask))
`;

test('watches with their numbers, masks and flags', async (t) => {
  const { before, after, target } = await roundTrip(
    t,
    `${WATCH}
for name in ("a", "b/c/d"): os.makedirs(name)
open("file", "w").close(); os.symlink("nowhere", "link"); os.mkfifo("fifo")
i = at(libc.inotify_init1(os.O_NONBLOCK), 10)
os.dup2(i, 11)
gone = [watch(i, "a", 0x100) for _ in range(1)]
libc.inotify_rm_watch(i, gone[0]); os.read(i, 100)
watch(i, "a", 0x100)
watch(i, "file", 0x84000002)
for _ in range(300):
    libc.inotify_rm_watch(i, watch(i, "b", 0x100)); os.read(i, 100)
watch(i, "b/c/d", 0xfce)
watch(i, "link", 0x02000400)
watch(i, "fifo", 0x400)
watch(i, "/dev/null", 0x400)
at(libc.inotify_init1(0), 12)
e = select.epoll(); os.dup2(e.fileno(), 20); e.close()
keep = select.epoll.fromfd(20); keep.register(10, select.EPOLLIN)
`,
  );
  t.deepEqual(after.table, before.table);
  const file = before.table.files.find(({ kind }) => kind === 'inotify');
  t.deepEqual(
    file?.kind === 'inotify' && file.watches.map(({ wd, mask, path, type }) => [wd, mask, path, type]),
    [
      [2, 0x100, join(target.folder, 'a'), 'directory'],
      [3, 0x8400_0002, join(target.folder, 'file'), 'regular'],
      [304, 0xfce, join(target.folder, 'b/c/d'), 'directory'],
      [305, 0x400, join(target.folder, 'link'), 'symlink'],
      [306, 0x400, join(target.folder, 'fifo'), 'fifo'],
      [307, 0x400, '/dev/null', 'device'],
    ],
  );
});

/** Makes an event of every kind: of a folder's files and folders, and of what is watched itself. */
const EVENTS = `${WATCH}
def touch(path, text=""):
    with open(path, "a") as file: file.write(text)
def show(path):
    with open(path) as file: file.read()
i = at(libc.inotify_init1(0), 10)
for name in ("d", "d/sub", "o", "own"): os.mkdir(name)
touch("d/old", "x"); touch("o/away", "x"); touch("file", "x"); touch("doomed"); touch("roving")
watch(i, "d", 0xfff); watch(i, "own", 0xfff); watch(i, "file", 0xfff); watch(i, "doomed", 0x4c04); watch(i, "roving", 0x800)
other = watch(i, "o", 0xc0)
touch("d/new \\u00fc", "x"); show("d/old"); os.chmod("d/old", 0o640)
os.rename(b"d/old", b"d/\\xff" + b"n" * 200); os.rename("d/new \\u00fc", "o/there"); os.rename("o/away", "away"); os.rename("file", "d/file")
os.mkdir("d/inner"); os.listdir("d/inner"); os.chmod("d/inner", 0o711); os.rename("d/inner", "d/sub/inner"); os.rmdir("d/sub/inner"); os.rename("d/sub", "d/bus"); os.rmdir("d/bus")
os.unlink("d/file"); os.listdir("own"); os.chmod("own", 0o710); os.rename("own", "owned"); os.rmdir("owned")
os.unlink("doomed"); os.rename("roving", "roved")
libc.inotify_rm_watch(i, other)
next = watch(i, "o", 0x100); touch("o/last")
`;

test('events that were not read come back, and the number of the next watch', async (t) => {
  const { before, after } = await roundTrip(t, EVENTS);
  const told = ({ table }: typeof before) => {
    const file = table.files.find(({ kind }) => kind === 'inotify');
    const { events, ...rest } = file as OpenFileOf<'inotify'>;
    // The two of a rename have a number in common, which is another one.
    const cookies = [...new Set(events.map(({ cookie }) => cookie))];
    return { ...rest, events: events.map((event) => ({ ...event, cookie: cookies.indexOf(event.cookie) })) };
  };
  t.deepEqual(told(after), told(before));
  const { events, next } = told(before);
  const kinds = new Set(events.map(({ mask }) => mask & 0xffff));
  t.deepEqual(
    [...kinds].sort((a, b) => a - b),
    [...[0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x8000]],
  );
  t.true(events.length > 40, String(events.length));
  t.is(next, Math.max(...events.map(({ wd }) => wd)) + 1);
});

test('events that were not read are left out where the user says so', async (t) => {
  const { before, after } = await roundTrip(t, EVENTS, undefined, Flag.EVENTS_DROP);
  const [one, other] = [before, after].map(({ table }) => table.files.find(({ kind }) => kind === 'inotify'));
  t.deepEqual(other, { ...one, events: [] });
});

test('events that nothing can make again are refused, and stay', async (t) => {
  const target = await startTarget(
    t,
    `${WATCH}
i = at(libc.inotify_init1(0), 10)
watch(i, ".", 0xc0)
open("file", "w").close()
os.rename("file", "other")
os.read(i, 32)
j = at(libc.inotify_init1(0), 11)
watch(j, "other", 0x20)
watch(j, ".", 0x10)
for _ in range(1500): open("other").close()
`,
  );
  for (let again = 0; again < 2; again++) {
    const { problems } = capture(target);
    t.is(problems.length, 2);
    t.regex(
      problems[0]!,
      /^descriptor 10 \(inotify, .*\) cannot be carried: an event in it was not read yet, one of the two of a rename/,
    );
    t.regex(problems[1]!, /^descriptor 11 .*: 3000 events in it were not read yet; 2048 can be put back/);
  }
});

test('a watch of what no path leads to is refused by name', async (t) => {
  const target = await startTarget(
    t,
    `${WATCH}
i = at(libc.inotify_init1(0), 10)
open("file", "w").close()
at(os.open("file", os.O_RDONLY), 11)
watch(i, "file", 0x2)
os.unlink("file")
open("file", "w").close()
`,
  );
  const { problems } = capture(target);
  t.true(
    problems.some((line) =>
      /^descriptor 10 .*: no path was found to the file that its watch 1 \(inode \d+ on device \d+:\d+\) is of; use --drop-fd 10/.test(
        line,
      ),
    ),
    problems.join('\n'),
  );
});

test('what is watched must be there, and what it was', async (t) => {
  const target = await startTarget(
    t,
    `${WATCH}
i = at(libc.inotify_init1(0), 10)
os.mkdir("folder")
watch(i, "folder", 0x100)
`,
  );
  const { table, objects, problems } = capture(target);
  t.deepEqual(problems, []);
  const planned = withContent(table, objects);
  const folder = join(target.folder, 'folder');
  renameSync(folder, join(target.folder, 'elsewhere'));
  for (const flags of [0, 2]) {
    t.is(
      await refusal(t, planned, flags),
      `cannot reopen ${folder} (descriptor 10, inotify): No such file or directory\n`,
    );
  }
  writeFileSync(folder, '');
  t.is(
    await refusal(t, planned),
    `cannot reopen ${folder} (descriptor 10, inotify): it is no longer a directory\n`,
  );
});
