import test, { type ExecutionContext } from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { refusal, roundTrip } from './support.js';

/** fanotify_init and fanotify_mark, which Python does not name. */
const FANOTIFY = `
def listen(number, flags, event_flags=0):
    fd = libc.fanotify_init(flags, event_flags)
    assert fd >= 0, ctypes.get_errno()
    return at(fd, number)
def mark(fd, flags, mask, path):
    assert libc.fanotify_mark(fd, 1 | flags, ctypes.c_ulonglong(mask), -100, path.encode()) == 0, ctypes.get_errno()
os.mkdir("tree"); open("tree/file", "w").close()
`;

/** Most of it takes a privilege. */
function testAsRoot(title: string, body: (t: ExecutionContext) => Promise<void>): void {
  test(title, async (t) => {
    if (process.getuid?.() === 0) return body(t);
    t.log('only root can make one');
    t.pass();
  });
}

testAsRoot('marks of files, mounts and file systems', async (t) => {
  const { before, after, planned } = await roundTrip(
    t,
    `${FANOTIFY}
listen(10, 0x1 | 0x2 | 0xe00)
mark(10, 0, 0x48000300, "tree")
mark(10, 0x100, 0x100, "/dev/shm")
listen(11, 0x30, os.O_RDWR | 0o100000)
mark(11, 0x10, 0x8, "/dev/shm")
mark(11, 0x20 | 0x40, 0x2, "tree/file")
mark(11, 0, 0x8, "tree/file")
mark(11, 0x400 | 0x40, 0x8, "tree")
listen(12, 0)
os.dup2(12, 13)
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(
    before.table.files.flatMap((file) => (file.kind === 'fanotify' ? [file.marks.length] : [])),
    [2, 3, 0],
  );
  // Without the privilege that it takes.
  const without = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
  t.regex(
    await refusal(t, planned, 0, without),
    /^cannot make a fanotify descriptor \(descriptor 11, fanotify\): Operation not permitted\n$/,
  );
});

testAsRoot('what cannot be carried is named', async (t) => {
  const target = await startTarget(
    t,
    `${FANOTIFY}
listen(10, 0x4); mark(10, 0, 0x10000, "tree/file")
listen(12, 0x200); mark(12, 0, 0x40000100, "tree"); os.mkdir("tree/new")
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 1);
  t.regex(problems[0]!, /^descriptor 10 \(fanotify, .*\(FAN_CLASS_CONTENT\).*; use --drop-fd 10/);
  const unread = capture(target, parseChoices([10], [], '/'));
  t.is(unread.problems.length, 1);
  t.regex(unread.problems[0]!, /^descriptor 12 \(fanotify, .*: \d+ bytes of events in it were not read yet/);
});
