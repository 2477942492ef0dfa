/** Pseudoterminals that control the session of their process. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { rewriteDescriptors } from '../../../src/rewrite/descriptors.js';
import { Flag } from '../../../src/thaw/program.js';
import { capture, fileOf, startTarget, untilStopped } from '../../proc/descriptors/support.js';
import { trip, using, withoutNumbers } from './ptys.js';
import { refusal, runPlan, withContent } from './support.js';

/** What a pseudoterminal that controls the process is, and another that does not. */
const CONTROLLING = `
pair(10, 11); pair(20, 21)
fcntl.ioctl(10, termios.TIOCSWINSZ, struct.pack("HHHH", 11, 22, 33, 44))
fcntl.ioctl(11, termios.TIOCSCTTY, 0)
at(os.open("/dev/tty", os.O_RDWR | os.O_NONBLOCK), 12); os.dup2(12, 13)
at(os.open("/dev/tty", os.O_WRONLY), 2)
`;

/** Ids of the session and of the foreground process group, and pending signals. */
function controlOf(pid: number): { session: number; foreground: number; pending: string } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  const pending = /^ShdPnd:\t(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
  return { session: Number(fields[3]), foreground: Number(fields[5]), pending };
}

test('the terminal that controls its own session', async (t) => {
  const { before, after, child } = await trip(
    t,
    `${CONTROLLING}
os.write(10, b"a line\\nbegun"); until(11, select.POLLIN)
e = select.epoll(); os.dup2(e.fileno(), 30); e.close()
keep = select.epoll.fromfd(30); keep.register(12, select.EPOLLIN)
`,
  );
  t.deepEqual(withoutNumbers(after), withoutNumbers(before));
  t.is(before.table.terminal, null);
  t.like(fileOf(before, 10), { kind: 'pty-master', controls: true });
  t.like(fileOf(before, 20), { kind: 'pty-master', controls: false });
  t.like(fileOf(before, 11), { kind: 'pty-slave', path: null });
  for (const fd of [12, 2]) t.like(fileOf(before, fd), { kind: 'pty-slave', path: '/dev/tty' });
  t.is(fileOf(before, 12), fileOf(before, 13));
  const pid = child.pid!;
  t.deepEqual(controlOf(pid), { session: pid, foreground: pid, pending: '0000000000000000' });
});

test('a session whose terminal is open only under the name that it has there', async (t) => {
  const { before, after } = await trip(t, `${CONTROLLING}os.close(11)`);
  t.deepEqual(withoutNumbers(after), withoutNumbers(before));
  t.like(fileOf(after, 10), { controls: true });
});

test('a terminal that controlled no more than what the user lets go of', async (t) => {
  const target = await startTarget(t, using(CONTROLLING));
  const { table, problems, objects } = capture(target, parseChoices(['11', '12', '13', '2'], []));
  t.deepEqual(problems, []);
  t.like(fileOf({ table }, 10), { controls: false });
  const child = runPlan(t, withContent(table, objects), ['ignore', 'ignore', 'inherit'], Flag.PTS_NEW);
  await untilStopped(child.pid!);
  t.is(controlOf(child.pid!).foreground, -1);
});

test('sessions that others lead or are in are refused by name', async (t) => {
  const started = async (code: string) => {
    const target = await startTarget(t, using(CONTROLLING + code));
    const [child] = readFileSync(`/proc/${target.pid}/task/${target.pid}/children`, 'utf8').split(' ');
    return { target, child: Number(child) };
  };
  const ofChild = await started(`
child = os.fork()
if child == 0: os.kill(os.getpid(), signal.SIGSTOP)
os.closerange(0, 40); os.waitpid(child, os.WUNTRACED)
`);
  const says = (problems: readonly string[], why: RegExp): void => {
    t.is(problems.filter((problem) => why.test(problem)).length, 1, problems.join('\n'));
  };
  says(
    capture({ pid: ofChild.child }).problems,
    /^descriptor 10 \(pseudoterminal master, .* it controls the process's session, and process \d+ \(python3\S*\), which leads that, stays behind; use /,
  );
  const background = await started(`
child = os.fork()
if child == 0: os.closerange(0, 40); os.setpgid(0, 0); signal.pause()
while os.getpgid(child) != child: time.sleep(0)
os.tcsetpgrp(11, child)
`);
  says(capture(background.target).problems, /^descriptor 10 .*, which is not in the foreground there; /);
  const named = await started(`
child = os.fork()
if child == 0: os.closerange(0, 12); os.closerange(13, 40); signal.pause()
while os.path.exists(f"/proc/{child}/fd/13"): time.sleep(0)
`);
  says(capture(named.target).problems, /^descriptor 10 .* process \d+ \(python3\S*\) has its other side, /);
  const former = await started(`
signal.signal(signal.SIGHUP, signal.SIG_IGN)
fcntl.ioctl(11, termios.TIOCNOTTY); fcntl.ioctl(21, termios.TIOCSCTTY, 0)
`);
  const { problems } = capture(former.target);
  for (const fd of [2, 12])
    says(problems, new RegExp(`^descriptor ${fd} .* it is a terminal that controlled the process before; `));
  t.is(problems.length, 2, problems.join('\n'));
});

test('who cannot begin a session is told how to', async (t) => {
  const target = await startTarget(t, using(CONTROLLING));
  const { table, objects } = capture(target);
  const planned = withContent(table, objects);
  const says = (why: string) =>
    `cannot make a session with its terminal (descriptor 10, pseudoterminal): ${why}; start it with: setsid IMAGE\n`;
  const then = '; os.execvp(sys.argv[1], sys.argv[1:])';
  const as = (code: string) => ['python3', '-Sc', `import os, pty, sys; ${code}${then}`];
  const group = as('os.fork() and (os.wait(), sys.exit()); os.setpgid(0, 0)');
  const leads = says('whoever starts the image under a new id makes it lead a process group');
  t.is(await refusal(t, planned, Flag.PTS_NEW, group), leads);
  t.is(await refusal(t, planned, Flag.PTS_NEW | Flag.PID_NEW | Flag.CHECK, group), leads);
  const terminal = as('err = os.dup(2); pty.fork()[0] and (os.wait(), sys.exit()); os.dup2(err, 2)');
  const other = says('it leads a session that has another terminal');
  t.is(await refusal(t, planned, Flag.PTS_NEW, terminal), other);
  t.is(await refusal(t, planned, Flag.PTS_NEW | Flag.PID_NEW | Flag.CHECK, terminal), other);
});

test('without a slave that is left there is no session to begin', async (t) => {
  const target = await startTarget(t, using(CONTROLLING));
  const { table, objects } = capture(target);
  const planned = withContent(table, objects);
  const choices = parseChoices([11, 12, 13], ['2=null']);
  const rewritten = rewriteDescriptors({ descriptors: table, objects: [...planned.objects] }, choices, []);
  const code = `
import os, sys
child = os.fork()
if child: os.waitpid(child, os.WUNTRACED); os.kill(child, 9); sys.exit()
os.setpgid(0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
`;
  const flags = Flag.PTS_NEW | Flag.PID_NEW;
  for (const more of [0, Flag.CHECK]) {
    const as = ['python3', '-Sc', code];
    t.is(await refusal(t, { ...planned, table: rewritten }, flags | more, as), '');
  }
});
