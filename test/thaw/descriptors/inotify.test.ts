import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
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

test('events that were not read are refused, and stay', async (t) => {
  const target = await startTarget(
    t,
    `${WATCH}
i = at(libc.inotify_init1(0), 10)
watch(i, ".", 0x100)
open("file", "w").close()
`,
  );
  for (let again = 0; again < 2; again++) {
    const { problems } = capture(target);
    t.is(problems.length, 1);
    t.regex(
      problems[0]!,
      /^descriptor 10 \(inotify, .*\) cannot be carried: 32 bytes of events in it were not read/,
    );
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
      `cannot reopen ${folder} (descriptor 10): No such file or directory\n`,
    );
  }
  writeFileSync(folder, '');
  t.is(await refusal(t, planned), `cannot reopen ${folder} (descriptor 10): it is no longer a directory\n`);
});
