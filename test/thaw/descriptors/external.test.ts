import { openSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { capture, fileOf, type Streams, startTarget } from '../../proc/descriptors/support.js';
import { refusal, restore, withContent } from './support.js';

test('what is passed in stays where it is; its locks, and those of the null device, are let go of', async (t) => {
  const code = `
f = at(os.open("log", os.O_RDWR | os.O_CREAT), 10)
os.write(f, b"x" * 20); os.lseek(f, 5, 0)
fcntl.flock(f, fcntl.LOCK_EX)
os.dup2(10, 11); os.dup2(10, 0); os.dup2(10, 12, inheritable=False)
at(socket.socket().detach(), 13)
e = select.epoll(); os.dup2(e.fileno(), 14); e.close()
select.epoll.fromfd(14).register(13, select.EPOLLIN)
`;
  const target = await startTarget(t, code);
  const choices = parseChoices([], ['0=inherit', '11=null', '12=inherit', '13=inherit'], '/');
  const before = capture(target, choices);
  t.deepEqual(before.problems, []);
  t.is(before.warnings.length, 3);
  t.regex(before.warnings[0]!, /^the lock on .*log \(descriptor 0\) is let go of$/);
  t.deepEqual(
    [0, 10, 11, 12, 13].map((fd) => [fileOf(before, fd).kind, fileOf(before, fd).locks.length]),
    [
      ['stream', 0],
      ['file', 1],
      ['file', 0],
      ['external', 0],
      ['external', 0],
    ],
  );
  const planned = withContent(before.table, before.objects);
  const missing = await refusal(t, planned);
  t.is(
    missing,
    'cannot take over descriptor 12, which whoever starts the image has to pass in: Bad file descriptor\n',
  );
  target.child.kill('SIGKILL');
  const passed = openSync(join(target.folder, 'passed'), 'w+');
  const streams = ['ignore', 'ignore', 'inherit', ...Array(9).fill('ignore'), passed, passed] as Streams;
  const after = capture({ pid: (await restore(t, planned, streams)).pid! });
  t.deepEqual(
    after.table.descriptors.map(({ fd, closeOnExec }) => [fd, closeOnExec]),
    before.table.descriptors.map(({ fd, closeOnExec }) => [fd, closeOnExec]),
  );
  t.like(fileOf(after, 12), { kind: 'file', path: join(target.folder, 'passed'), locks: [] });
  t.like(fileOf(after, 13), { path: join(target.folder, 'passed') });
  t.like(fileOf(after, 10), { path: join(target.folder, 'log'), offset: 5n });
});
