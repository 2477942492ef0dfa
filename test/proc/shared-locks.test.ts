import test from 'ava';
import { parseChoices } from '../../src/proc/descriptors/choices.js';
import { surveySharedOutside } from '../../src/proc/shared-outside.js';
import { capture, startTarget } from './descriptors/support.js';

const CHILD = `
r, w = os.pipe()
child = os.fork()
if child == 0:
    libc.prctl(1, signal.SIGKILL)
    os.write(w, b"x")
    while True: signal.pause()
os.read(r, 1)
`;

test('locks and leases of open files that another process has, too', async (t) => {
  const target = await startTarget(
    t,
    `
for n, name in enumerate(("flock", "ofd", "lease", "posix", "own")): at(os.open(name, os.O_RDWR | os.O_CREAT), 10 + n)
fcntl.flock(10, fcntl.LOCK_SH); os.dup2(10, 20)
fcntl.fcntl(11, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
fcntl.fcntl(12, 1024, fcntl.F_WRLCK)
fcntl.lockf(13, fcntl.LOCK_EX)
${CHILD}
at(os.open("own", os.O_RDWR), 15); fcntl.flock(15, fcntl.LOCK_EX)
`,
  );
  const survey = (drop: number[], dropChildren = false) =>
    surveySharedOutside(target.pid, {
      ...{ dropChildren, embedShared: false, descriptors: parseChoices(drop, []) },
    });
  const words = [
    [10, 'flock', 'lock (flock)'],
    [11, 'ofd', 'lock (F_OFD_SETLK)'],
    [12, 'lease', 'lease (F_SETLEASE)'],
  ] as const;
  const { problems } = survey([]);
  t.is(problems.length, words.length);
  words.forEach(([fd, name, what], i) => {
    const says = problems[i]!.replaceAll(/process \d+ \(python3.*?\)/g, 'process N');
    const use = `use --drop-fd ${fd}, --external ${fd}, or --fd ${fd}=PATH`;
    t.is(
      says,
      `descriptor ${fd} (file, ${target.folder}/${name}) cannot be carried: its ${what} is held by process N as well, which stays behind; ${use}`,
    );
  });
  t.deepEqual(survey([10, 11, 12, 20]).problems, []);
  const left = survey([], true);
  t.deepEqual(left.problems, []);
  t.is(left.warnings.length, words.length);
  t.regex(
    left.warnings[2]!,
    /^the lease \(F_SETLEASE\) on .*\/lease \(descriptor 12\) is held by process \d+ \(python3.*\) as well: the image refuses as long as that has it open$/,
  );
});

test('a lock that is on its way in a socket, and that another process has, too', async (t) => {
  const target = await startTarget(
    t,
    `
f = os.open("sent", os.O_RDWR | os.O_CREAT); fcntl.flock(f, fcntl.LOCK_EX)
a, b = socket.socketpair(); at(a.detach(), 10); b = at(b.detach(), 11)
socket.send_fds(socket.socket(fileno=os.dup(b)), [b"x"], [f])
${CHILD}
os.close(f)
`,
  );
  const { problems } = capture(target);
  t.true(
    problems.some((line) =>
      /what is on its way in descriptor 10 \(file, .*\/sent\) .*its lock \(flock\)/.test(line),
    ),
  );
});
