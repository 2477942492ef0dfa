import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { preparePlan, restore, withContent } from './support.js';

test('streams are those of the image', async (t) => {
  const target = await startTarget(
    t,
    `
a = os.pipe()
if os.fork() == 0: signal.pause()
os.dup2(a[1], 1); os.dup2(a[1], 7)
for fd in a: os.close(fd)
fcntl.fcntl(1, fcntl.F_SETFD, 1)
`,
  );
  const before = capture(target);
  t.deepEqual(before.problems, []);
  const child = await restore(t, withContent(before.table, before.objects), ['ignore', 'pipe', 'inherit']);
  const after = capture({ pid: child.pid! });
  t.deepEqual(
    after.table.descriptors.map(({ fd, closeOnExec }) => [fd, closeOnExec]),
    [
      [0, false],
      [1, true],
      [2, false],
      [7, false],
    ],
  );
  const file = after.table.files.find(({ kind }) => kind === 'stream');
  t.regex(file?.kind === 'stream' ? file.was : '', /^socket:/);
});

test('a terminal: modes, duplicates and openings of it', async (t) => {
  // A session of its own on a new pseudoterminal; this process passes on nothing and only holds the master.
  const onTerminal = (code: string) => `
import pty, termios, time
pid, master = pty.fork()
if pid == 0:
    a = termios.tcgetattr(0); a[3] &= ~termios.ECHO; a[6][termios.VMIN] = 7; termios.tcsetattr(0, 0, a)
    os.dup2(2, 9)
    at(os.open("/dev/tty", os.O_RDWR), 10)
    at(os.open(os.ttyname(0), os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY), 11)
${code}
open("pid", "w").write(str(pid))
while open("/proc/%d/stat" % pid).read().rsplit(")")[1].split()[0] != "T": time.sleep(0.01)
`;
  const target = await startTarget(t, onTerminal('    os.kill(os.getpid(), signal.SIGSTOP)'));
  const pid = Number(readFileSync(join(target.folder, 'pid'), 'utf8'));
  const before = capture({ pid });
  t.deepEqual(before.problems, []);
  t.deepEqual(
    before.table.files.map((file) => (file.kind === 'stream' ? [file.stream, file.reopen] : file.kind)),
    [
      [0, 'shared'],
      [1, 'shared'],
      [2, 'shared'],
      [2, 'controlling'],
      [2, 'own'],
    ],
  );
  t.is(before.table.terminal!.modes.length, 44);
  const planned = withContent(before.table, before.objects);
  const again = await startTarget(
    t,
    `
import pty, time
pid, master = pty.fork()
if pid == 0:
    command = ${JSON.stringify(preparePlan(planned))}
    os.execvp(command[0], command)
open("pid", "w").write(str(pid))
while open("/proc/%d/stat" % pid).read().rsplit(")")[1].split()[0] != "T": time.sleep(0.01)
`,
  );
  const after = capture({ pid: Number(readFileSync(join(again.folder, 'pid'), 'utf8')) });
  const nameless = (table: typeof before.table) => ({
    ...table,
    files: table.files.map((file) => (file.kind === 'stream' ? { ...file, was: '' } : file)),
  });
  t.deepEqual(nameless(after.table), nameless(before.table));
});
