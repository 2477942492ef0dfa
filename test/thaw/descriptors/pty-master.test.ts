/** Pseudoterminals: the master, and what is under way in both directions. */
import test from 'ava';
import { openKernel } from '../../../src/kernel/open.js';
import { Flag } from '../../../src/thaw/program.js';
import { capture, fileOf, startTarget, untilStopped } from '../../proc/descriptors/support.js';
import { trip, using, withoutNumbers } from './ptys.js';
import { refusal, runPlan, withContent } from './support.js';

test('both sides, with modes, size and switches', async (t) => {
  const { before, after } = await trip(
    t,
    `
pair(10, 11)
os.dup2(10, 12, inheritable=False); os.dup2(11, 13); os.dup2(11, 1)
at(os.open(os.ttyname(11), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK), 14)
modes = termios.tcgetattr(11)
modes[0] |= termios.IXANY; modes[3] &= ~termios.ECHO; modes[6][termios.VEOL] = b";"
modes[4] = modes[5] = termios.B9600
termios.tcsetattr(11, termios.TCSANOW, modes)
fcntl.ioctl(10, termios.TIOCSWINSZ, struct.pack("HHHH", 11, 22, 33, 44))
fcntl.ioctl(10, termios.TIOCPKT, struct.pack("i", 1))
fcntl.fcntl(10, fcntl.F_SETFL, os.O_NONBLOCK)
os.fchmod(11, 0o604)
pair(21, 20)
fcntl.ioctl(20, termios.TIOCEXCL); fcntl.ioctl(21, termios.TIOCEXCL)
fcntl.ioctl(21, 0x40045431, struct.pack("i", 1))
e = select.epoll(); os.dup2(e.fileno(), 30); e.close()
keep = select.epoll.fromfd(30); keep.register(10, select.EPOLLIN)
`,
  );
  t.deepEqual(withoutNumbers(after), withoutNumbers(before));
  t.like(fileOf(before, 10), { kind: 'pty-master', packets: true, locked: false, node: { mode: 0o604 } });
  t.deepEqual([...(fileOf(before, 10) as { size: Uint8Array }).size], [11, 0, 22, 0, 33, 0, 44, 0]);
  t.like(fileOf(before, 21), { locked: true, exclusive: { master: true, slave: true } });
});

test('what is under way, in both directions', async (t) => {
  const { before, after } = await trip(
    t,
    `
pair(10, 11)
os.write(10, b"one\\ntwo\\n\\x04end\\x04" + b"quoted \\x16\\n\\x16\\x04\\x16\\x16\\n" + b"begu\\x7fn")
until(10, select.POLLIN)
os.write(11, b"said\\n")
pair(12, 13, raw=True)
os.write(12, bytes(range(256)) * 15)
os.write(13, bytes(range(256)) * 30)
pair(14, 15)
fcntl.ioctl(14, termios.TIOCPKT, struct.pack("i", 1))
os.write(15, b"in packet mode")
pair(16, 17)
os.write(16, b"only begun")
os.set_blocking(17, False)
pair(18, 19, raw=True)
os.write(18, b"\\n\\x04\\x16" * 1330)
for fd in (11, 13, 17, 19): until(fd, select.POLLOUT)
`,
  );
  t.deepEqual(withoutNumbers(after), withoutNumbers(before));
  const keys = (fd: number) => Buffer.from((fileOf(before, fd) as { typed: Uint8Array }).typed);
  const output = (fd: number) => Buffer.from((fileOf(before, fd) as { output: Uint8Array }).output);
  t.is(keys(10).toString('latin1'), 'one\ntwo\n\x04end\x04quoted \x16\n\x16\x04\x16\x16\nbegn');
  t.true(output(10).toString('latin1').endsWith('said\r\n'));
  t.true(output(10).toString('latin1').startsWith('one\r\ntwo\r\n'), 'the echo');
  t.is(keys(12).length, 256 * 15 + 5 * 15);
  t.deepEqual(
    output(12),
    Buffer.concat(Array.from({ length: 30 }, () => Buffer.from(Array.from({ length: 256 }, (_, i) => i)))),
  );
  t.is(output(14).toString(), 'in packet mode');
  t.is(keys(16).toString(), 'only begun');
  t.is(keys(18).toString(), '\x16\n\x16\x04\x16\x16'.repeat(1330), 'all of it is quoted');
});

test('the process that runs on finds everything as it was', async (t) => {
  const target = await startTarget(
    t,
    using(`
pair(10, 11)
modes = termios.tcgetattr(11)
def count(fd):
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"    "))[0]
def echoed(n): # comes in pieces
    while count(10) < n: time.sleep(0.001)
os.write(10, b"a line\\nbegun")
until(11, select.POLLIN); echoed(13)
fcntl.ioctl(10, termios.TIOCPKT, struct.pack("i", 1))
os.kill(os.getpid(), signal.SIGSTOP)
assert termios.tcgetattr(11) == modes, termios.tcgetattr(11)
assert count(11) == 7 and count(10) == 13, (count(11), count(10))
assert os.read(10, 100) == b"\\0a line\\r\\nbegun"
assert os.read(11, 100) == b"a line\\n"
os.write(10, b"\\x7f and ended\\n")
until(11, select.POLLIN)
assert os.read(11, 100) == b"begu and ended\\n"
echoed(15)
assert os.read(10, 100) == b"\\0\\b \\b and ended\\r\\n"
`),
  );
  const first = capture(target);
  t.deepEqual(first.problems, []);
  t.deepEqual(capture(target).table, first.table, 'twice the same');
  target.child.kill('SIGCONT');
  await untilStopped(target.pid);
});

test('a number that is taken is refused, unless any will do', async (t) => {
  const target = await startTarget(
    t,
    using(`
pair(10, 11)`),
  );
  const { table, objects } = capture(target);
  const planned = withContent(table, objects);
  const { number } = fileOf({ table }, 10) as { number: number };
  const says = new RegExp(
    `^cannot make a pseudoterminal \\(descriptor 10, pseudoterminal\\): /dev/pts/${number} is another's here \\(with --pts=new`,
  );
  t.regex(await refusal(t, planned), says);
  t.regex(await refusal(t, planned, Flag.CHECK), says);
  const child = runPlan(t, planned, ['ignore', 'ignore', 'inherit'], Flag.PTS_NEW);
  await untilStopped(child.pid!);
  const again = capture({ pid: child.pid! });
  t.deepEqual(again.problems, []);
  t.not((fileOf(again, 10) as { number: number }).number, number);
});

/** Masters without anybody at the other side, in several states. */
const UNOPENED = `
for n in (10, 11, 12): at(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY), n)
fcntl.ioctl(11, termios.TIOCSWINSZ, struct.pack("4H", 30, 90, 1, 2)); fcntl.ioctl(11, termios.TIOCPKT, struct.pack("i", 1))
fcntl.ioctl(11, 0x40045431, struct.pack("i", 0)); os.chmod("/dev/pts/%d" % struct.unpack("I", fcntl.ioctl(11, 0x80045430, bytes(4))), 0o604); os.set_blocking(11, False)
modes = termios.tcgetattr(12); modes[3] &= ~termios.ECHO; termios.tcsetattr(12, termios.TCSANOW, modes); os.dup2(12, 13)
`;

test('masters whose other side was never opened', async (t) => {
  const looks = typeof openKernel() !== 'string';
  if (!looks) {
    const target = await startTarget(t, using(UNOPENED));
    t.regex(capture(target).problems.join(), /its other side was never opened, so that .*: only root/);
    return;
  }
  const { before, after } = await trip(t, UNOPENED);
  t.deepEqual(withoutNumbers(after), withoutNumbers(before));
  t.deepEqual(
    [10, 11, 12].map((fd) => {
      const file = fileOf(after, fd);
      return file.kind === 'pty-master' && [file.unopened, file.locked, file.packets];
    }),
    [
      [true, true, false],
      [true, false, true],
      [true, true, false],
    ],
  );
});

test('states that cannot be seen are refused by name', async (t) => {
  const target = await startTarget(
    t,
    using(`
m = at(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY), 10); os.write(10, b"x")
pair(12, 13)
fcntl.ioctl(12, termios.TIOCPKT, struct.pack("i", 1)); termios.tcflush(13, termios.TCIFLUSH)
pair(14, 15); termios.tcflow(15, termios.TCOOFF)
pair(16, 17, raw=True); os.write(16, b"x" * 4095); until(17, select.POLLIN)
pair(18, 19)
for _ in range(13): os.write(18, b"x" * 299 + b"\\n") # a line that is begun follows, of which nothing tells
os.write(18, b"x" * 150); until(19, select.POLLOUT)
`),
  );
  const { problems } = capture(target);
  const says = [
    [
      10,
      typeof openKernel() === 'string'
        ? 'its other side was never opened'
        : 'something was typed before anybody',
    ],
    [12, 'it has a status of packet mode that was not read'],
    [14, 'its output is stopped'],
    [16, 'as much input waits in it as fits'],
    [18, '4050 bytes of input wait in it, more than 4000'],
  ] as const;
  t.is(problems.length, says.length);
  says.forEach(([fd, why], i) => {
    t.true(problems[i]!.startsWith(`descriptor ${fd} (`), problems[i]);
    t.true(problems[i]!.includes(`cannot be carried: ${why}`), problems[i]);
  });
});

test('locked modes are refused', async (t) => {
  if (process.getuid?.() !== 0) {
    t.log('only root can lock them');
    return t.pass();
  }
  const target = await startTarget(
    t,
    using(`
pair(10, 11)
fcntl.ioctl(11, 0x5457, struct.pack("11I", 0, 0, 0, 1, *[0] * 7))
`),
  );
  const { problems } = capture(target);
  t.is(problems.length, 1);
  t.regex(
    problems[0]!,
    /^descriptor 10 .* cannot be carried: some of its modes are locked \(TIOCSLCKTRMIOS\); use --drop-fd/,
  );
});
