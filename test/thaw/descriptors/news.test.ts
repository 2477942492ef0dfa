/** Files of /proc that tell of changes: which of these the process was not told is seen, and not taken. */

import { testAsRoot } from '../../e2e/harness/needs.js';
import { capture, startTarget } from '../../proc/descriptors/support.js';

const changed = `
import ctypes, select
libc = ctypes.CDLL(None, use_errno=True)
def told(fd):
  poll = select.poll(); poll.register(fd, select.POLLPRI); return bool(poll.poll(0))
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18
assert libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
for n, path in enumerate(["self/mounts", "self/mountinfo", "thread-self/mounts", "self/mounts", "swaps"]):
  at(os.open("/proc/" + path, os.O_RDONLY), 10 + n)
assert libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) == 0
told(13)
at(os.open("/proc/self/mounts", os.O_RDONLY), 15)
at(os.open("/proc/self/mounts", os.O_PATH), 16)
`;

testAsRoot('a change that the process was not told is warned of', async (t) => {
  const target = await startTarget(t, changed);
  for (let attempt = 0; attempt < 2; attempt++) {
    const { problems, warnings } = capture(target);
    t.deepEqual(problems, []);
    t.deepEqual(
      warnings.map((line) => /^descriptor (\d+) \(file, .*\): a change .* is lost$/.exec(line)?.[1]),
      ['10', '11', '12'],
    );
  }
});
