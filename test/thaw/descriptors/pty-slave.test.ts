/** Pseudoterminals: who has the slave. */
import test from 'ava';
import { NO_CHOICES } from '../../../src/proc/descriptors/choices.js';
import { Flag } from '../../../src/thaw/program.js';
import { capture, fileOf, startTarget, untilStopped } from '../../proc/descriptors/support.js';
import { trip, using, withoutNumbers } from './ptys.js';
import { runPlan, withContent } from './support.js';

test('a side that is closed', async (t) => {
  const { before, after } = await trip(
    t,
    `
pair(10, 11)
os.write(10, b"never read\\n"); until(11, select.POLLIN)
os.write(11, b"last words"); os.close(11)
pair(12, 13); name = os.ttyname(13)
at(os.open(name, os.O_RDONLY | os.O_NOCTTY), 14)
os.close(12)
pair(15, 16); os.close(15)
`,
  );
  t.deepEqual(withoutNumbers(after), withoutNumbers(before));
  t.like(fileOf(before, 10), { kind: 'pty-master', typed: new Uint8Array(Buffer.from('never read\n')) });
  for (const fd of [13, 14, 16]) t.like(fileOf(after, fd), { kind: 'pty-slave', master: null });
});

test('sides that others have are refused by name', async (t) => {
  const target = await startTarget(
    t,
    using(`
def child(*closed):
    if os.fork() == 0:
        for fd in closed: os.close(fd)
        signal.pause()
pair(10, 11); child(10); os.close(11)
pair(12, 13); child(10, 13)
pair(14, 15); child(10, 12, 13, 14)
pair(16, 17); fcntl.fcntl(17, fcntl.F_SETFL, os.O_ASYNC)
`),
  );
  const { problems } = capture(target);
  const refused = (fd: number, why: string): RegExp =>
    new RegExp(
      `^descriptor ${fd} \\(pseudoterminal master, /dev/\\S*ptmx\\) cannot be carried: process \\d+ \\(python3?\\S*\\) ${why}; use --drop-fd ${fd}, `,
    );
  t.is(problems.length, 4);
  t.regex(
    problems[0]!,
    refused(10, 'has its other side, /dev/pts/\\d+, and stays behind \\(--pty-peer .*\\)'),
  );
  t.regex(problems[1]!, refused(12, 'has it open, too'));
  t.regex(problems[2]!, refused(14, 'has its other side, /dev/pts/\\d+, and stays behind'));
  t.regex(problems[3]!, /^descriptor 16 .*: it sends signals when there is input or output \(O_ASYNC\)/);
  t.is(capture(target, { ...NO_CHOICES, ptyPeer: 'close' }).problems.length, 3);
});

test('a slave that another process has is found closed where the user wishes', async (t) => {
  const target = await startTarget(
    t,
    using(`
pair(10, 11)
modes = termios.tcgetattr(11); modes[3] &= ~termios.ECHO; termios.tcsetattr(11, termios.TCSANOW, modes)
if os.fork() == 0:
    os.close(10); signal.pause()
os.write(11, b"said"); os.close(11)
`),
  );
  const before = capture(target, { ...NO_CHOICES, ptyPeer: 'close' });
  t.deepEqual(before.problems, []);
  t.is(before.warnings.length, 1);
  t.regex(
    before.warnings[0]!,
    /^descriptor 10 \(master of \/dev\/pts\/\d+\): what was written to it .* stays behind$/,
  );
  const planned = withContent(before.table, before.objects);
  const child = runPlan(t, planned, ['ignore', 'ignore', 'inherit'], Flag.PTS_NEW);
  await untilStopped(child.pid!);
  const after = capture({ pid: child.pid! });
  t.deepEqual(after.problems, []);
  const master = fileOf(before, 10);
  t.like(master, { letGo: true });
  if (master.kind === 'pty-master') delete master.letGo; // by now nobody else has the slave
  t.deepEqual(withoutNumbers(after), withoutNumbers(before));
});
