/** What belongs to this machine or cannot be seen from outside is refused by a line that names it, and runs on. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { testWith } from './harness/needs.js';

import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf } from './harness/tool.js';

/** Runs Python code that makes something, and has its freeze refused. */
async function refused(t: ExecutionContext<unknown>, code: string, says: RegExp): Promise<void> {
  const cwd = scratch(t);
  const program = `import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
${code}
print("ready", flush=True)
sys.stdin.readline()
print("ok")`;
  const running = start(t, 'python3', ['-c', program], { cwd });
  await running.ready();
  const { code: status, stderr } = await proc2elf([String(running.pid), '-o', join(cwd, 'image')], { cwd });
  t.is(status, 1);
  t.regex(stderr, says);
  await running.goAndExpectOk();
}

testWith(['python3'], "a timer on another thread's processor time", (t) =>
  refused(
    t,
    `import struct, threading
def run():
    timer = ctypes.c_int()
    assert libc.syscall(222, 3, None, ctypes.byref(timer)) == 0
    assert libc.syscall(223, timer, 0, struct.pack("4q", 0, 0, 1000, 0), None) == 0
    made.set(); threading.Event().wait()
made = threading.Event(); threading.Thread(target=run, daemon=True).start(); made.wait()`,
    /^proc2elf: timer 0 of process \d+ runs on the processor time of another thread than the first.*\n$/,
  ),
);

testWith(['python3'], 'a message queue that was removed', (t) =>
  refused(
    t,
    `name = b"/proc2elf-%d" % os.getpid()
libc.mq_open.restype = ctypes.c_int
assert libc.mq_open(name, os.O_RDWR | os.O_CREAT, 0o600, None) == 3
libc.mq_unlink(name)`,
    /^proc2elf: descriptor 3 \(message queue, .*: it was removed .*; use --drop-fd 3, --external 3, or --fd 3=PATH\n$/,
  ),
);

testWith(['python3'], 'a datagram in the making with a time to live of its own', (t) =>
  refused(
    t,
    `import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("127.0.0.1", 9))
s.sendmsg([b"half"], [(socket.SOL_IP, socket.IP_TTL, struct.pack("i", 9))], socket.MSG_MORE)`,
    // Whoever may not look into the kernel is told that.
    /^proc2elf: descriptor 3 \(UDP socket, .*\(UDP_CORK, MSG_MORE.*(IP_TTL|only root).*--drop-fd 3/,
  ),
);

testWith(['python3'], 'files of other processes and threads', async (t) => {
  const other = `import signal, threading
child = os.fork()
if child == 0: signal.pause()
`;
  const end = 'os.kill(child, 9); os.waitpid(child, 0)\n';
  await refused(
    t,
    `${other}fd = os.open("/proc/%d/status" % child, os.O_RDONLY)\n${end}`,
    /^proc2elf: descriptor 3 \(file, \/proc\/(\d+)\/status\) .*: it belongs to process \1, which has ended; use --drop-fd 3/,
  );
  await refused(
    t,
    `${other}fd = os.open("/proc/%d" % child, os.O_RDONLY)\n${end}`,
    /^proc2elf: descriptor 3 \(directory, \/proc\/(\d+) \(deleted\)\) .*: it belongs to process \1, which has ended; /,
  );
  await refused(
    t,
    `${thread.replace('"/proc/self/task/%d/mounts" % ids[0]', '"/proc/%d/task/%d/stat" % (ids[0], os.getpid())')}`,
    /\/task\/(\d+)\/stat\) .*: it belongs to thread \d+ by an id that may be another's .*: \/proc\/self\/task\/\1 is carried; /,
  );
  await refused(
    t,
    'fd = os.open("/proc/%d/stat" % os.getppid(), os.O_RDONLY)',
    /: it belongs to process \d+ \([^)]+\), which is not frozen with this one; /,
  );
});

const thread = `import fcntl, select, signal, threading
ids = []
threading.Thread(target=lambda: (ids.append(threading.get_native_id()), signal.pause()), daemon=True).start()
while not ids: pass
fd = os.open("/proc/self/task/%d/mounts" % ids[0], os.O_RDONLY)
`;

testWith(['python3'], 'files of /proc that are not there when they would be opened', async (t) => {
  await refused(
    t,
    `name = os.listdir("/proc/self/map_files")[0]
fd = os.open("/proc/self/map_files/" + name, os.O_PATH | os.O_NOFOLLOW)`,
    /^proc2elf: descriptor 3 \(symlink by O_PATH, .*\/map_files\/.*\) .*: it tells of memory that is not there yet when files are opened; use --drop-fd 3/,
  );
  await refused(
    t,
    `${thread}set = select.epoll()
set.register(fd, select.EPOLLPRI)`,
    /^proc2elf: descriptor 3 \(file, .*\/mounts\) .*: it is opened when epoll sets are filled already, and the one on descriptor 4 watches it; /,
  );
  await refused(
    t,
    `${thread}fcntl.flock(fd, fcntl.LOCK_EX)`,
    /^proc2elf: descriptor 3 \(file, .*\/mounts\) .*: it is opened when locks are taken already, and has some; use --drop-fd 3/,
  );
  await refused(
    t,
    `${thread}import socket
one, other = socket.socketpair()
socket.send_fds(one, [b"x"], [fd])
os.close(fd)`,
    /^proc2elf: what is on its way in descriptor \d+ \(file, .*\/mounts\) .*: it tells of what is not there yet when it is sent; /,
  );
});

testWith(['python3', 'unshare'], 'a namespace of others', (t) =>
  refused(
    t,
    `import subprocess
other = subprocess.Popen(["unshare", "-u", "sleep", "1000"], stdin=subprocess.DEVNULL)
own = os.readlink("/proc/self/ns/uts")
while os.readlink("/proc/%d/ns/uts" % other.pid) == own: pass
fd = os.open("/proc/%d/ns/uts" % other.pid, os.O_RDONLY)
other.kill(); other.wait()`,
    /^proc2elf: descriptor 3 \(namespace, uts:\[\d+\]\) .* not the one of the process itself; use --drop-fd 3/,
  ),
);

for (const [path, says] of [
  ['/dev/net/tun', /descriptor 3 \(tun\/tap device, .*\) .*can be passed in; use --drop-fd 3, --external 3/],
  ['/dev/fuse', /descriptor 3 \(FUSE, \/dev\/fuse\) .*: through it the process serves a file system/],
  ['/dev/kmsg', /descriptor 3 \(kernel log, \/dev\/kmsg\) .*: the state of a device cannot be frozen/],
] as const) {
  testWith(['python3', path], `${path}`, (t) =>
    refused(t, `fd = os.open("${path}", os.O_RDWR | os.O_NONBLOCK)`, says),
  );
}

testWith(['python3'], 'references by O_PATH to what has no path', async (t) => {
  for (const [code, link] of [
    ['os.eventfd(3)', 'anon_inode:\\[eventfd\\]'],
    ['libc.epoll_create1(0)', 'anon_inode:\\[eventpoll\\]'],
    ['libc.inotify_init()', 'anon_inode:inotify'],
    ['os.pidfd_open(os.getpid())', '(anon_inode:\\[pidfd\\]|pidfd:.*)'],
    ['os.pipe()[0]', 'pipe:\\[\\d+\\]'],
    ['__import__("socket").socketpair()[0].detach()', 'socket:\\[\\d+\\]'],
    ['__import__("socket").socket().detach()', 'socket:\\[\\d+\\]'],
  ] as const) {
    await refused(
      t,
      `fd = os.open("/proc/self/fd/%d" % ${code}, os.O_PATH)
os.dup2(fd, 40)
os.close(fd)`,
      new RegExp(
        `^proc2elf: descriptor 40 \\(reference, ${link}\\) cannot be carried: opened by O_PATH, .*; use --drop-fd 40`,
      ),
    );
  }
});

testWith(['python3'], 'what its path or its content would not help is not told to choose these', (t) =>
  refused(
    t,
    `import fcntl
fd = os.open("file", os.O_RDWR | os.O_CREAT)
fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())`,
    /: it sends signals \(F_SETOWN\) to process group \d+, which is another where the image is run; use --drop-fd 3, --external/,
  ),
);

/** Makes folders in each other, and goes into them, until the kernel can no longer tell where that is. */
const deep = `import atexit, shutil
here = os.getcwd()
atexit.register(lambda: (os.chdir(here), shutil.rmtree("d" * 200, ignore_errors=True)))
while len(os.getcwd()) < 3900: os.mkdir("d" * 200); os.chdir("d" * 200)
os.mkdir("e" * 250); os.chdir("e" * 250)
`;

testWith(['python3'], 'what has a path that the kernel does not tell', async (t) => {
  const why = 'a path of more than 4095 bytes\\) cannot be carried: the kernel does not tell the path';
  const opened = `${deep}at = os.open("file", os.O_RDWR | os.O_CREAT)
folder = os.open(".", os.O_RDONLY); reference = os.open(".", os.O_PATH); os.mkfifo("fifo"); fifo = os.open("fifo", os.O_RDWR)
os.write(at, b"kept")
gone = os.open("gone", os.O_RDWR | os.O_CREAT); os.write(gone, b"kept, too"); os.unlink("gone")
os.chdir(here)
`;
  await refused(
    t,
    opened,
    new RegExp(
      [
        '^proc2elf: 4 things cannot be carried:\\n',
        `  descriptor 3 \\(file, ${why}.*; use --files embed, --drop-fd 3, .*\\n`,
        ...['directory', 'directory', 'fifo'].map(
          (type, i) => `  descriptor ${4 + i} \\(${type}, ${why}.*; use --drop-fd ${4 + i}, .*\\n`,
        ),
        '$',
      ].join(''),
    ),
  );
  await refused(
    t,
    deep,
    /^proc2elf: process \d+ has a working directory with a path of more than 4095 bytes: --cwd DIR gives it another\n$/,
  );
  const cwd = scratch(t);
  const program = `import os, sys
${opened}
print("ready", flush=True)
sys.stdin.readline()
assert os.pread(at, 9, 0) == b"kept" and os.pread(gone, 9, 0) == b"kept, too"
print("ok")`;
  const original = start(t, 'python3', ['-c', program], { cwd });
  await original.ready();
  await freeze(
    original.pid,
    'x.bin',
    ['--files', 'embed', '--drop-fd', '4', '--fd', '5=/', '--drop-fd', '6'],
    {
      cwd,
    },
  );
  await original.goAndExpectOk();
  const thawed = start(t, join(cwd, 'x.bin'), [], { cwd });
  await thawed.goAndExpectOk();
});
