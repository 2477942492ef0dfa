import { join } from 'node:path';
import test from 'ava';
import { type DescriptorChoices, NO_CHOICES, parseChoices } from '../../src/proc/descriptors/choices.js';
import { surveySharedOutside } from '../../src/proc/shared-outside.js';
import { startTarget } from './descriptors/support.js';

function offsetWarnings(
  pid: number,
  choices: { dropChildren: boolean; descriptors: DescriptorChoices },
): readonly string[] {
  return surveySharedOutside(pid, { ...choices, embedShared: false }).warnings;
}

test('offsets that another process moves as well', async (t) => {
  const target = await startTarget(
    t,
    `
at(os.open("both", os.O_RDWR | os.O_CREAT), 10)
at(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 11)
r, w = os.pipe()
child = os.fork()
if child == 0:
    import ctypes, signal
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.write(w, b"x")
    while True: signal.pause()
os.read(r, 1)
os.dup2(os.open("both", os.O_RDONLY), 12)
`,
  );
  const choose = (drop: number[], dropChildren = false) =>
    offsetWarnings(target.pid, { dropChildren, descriptors: parseChoices(drop, []) });
  const says = choose([]).filter((line) => !/^descriptor [012] /.test(line));
  t.is(says.length, 1);
  t.regex(
    says[0]!,
    /^descriptor 10 \(file, .*\/both\) has its offset in common with process \d+ \(python3.*\), which stays behind: /,
  );
  t.true(says[0]!.includes(join(target.folder, 'both')));
  t.deepEqual(
    choose([10]).filter((line) => line.startsWith('descriptor 10 ')),
    [],
  );
  t.deepEqual(
    offsetWarnings(target.pid, { dropChildren: true, descriptors: NO_CHOICES }).filter((line) =>
      line.startsWith('descriptor 10 '),
    ),
    [],
  );
});

test('each of many open files of one path is told once, by its first descriptor', async (t) => {
  const target = await startTarget(
    t,
    `
for n in range(40): at(os.open("many", os.O_RDWR | os.O_CREAT), 100 + n)
for n in range(40): os.dup2(100 + n, 200 + n)
r, w = os.pipe()
child = os.fork()
if child == 0:
    libc.prctl(1, signal.SIGKILL)
    for n in range(40):
        if n % 2: fcntl.fcntl(100 + n, fcntl.F_DUPFD, 300)
    os.closerange(100, 200)
    os.closerange(216, 300)
    for n in range(40): at(os.open("many", os.O_RDWR), 400 + n)
    os.write(w, b"x")
    while True: signal.pause()
os.read(r, 1)
`,
  );
  const says = offsetWarnings(target.pid, { dropChildren: false, descriptors: NO_CHOICES });
  const told = says.flatMap((line) => /^descriptor (\d+) \(file, .*\/many\)/.exec(line)?.[1] ?? []);
  const numbers = Array.from({ length: 40 }, (_, n) => n);
  t.deepEqual(
    told.map(Number).sort((a, b) => a - b),
    numbers.filter((n) => n < 16 || n % 2 === 1).map((n) => 100 + n),
  );
});
