import test from 'ava';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import { fileOf } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

test('sets in one another, members by numbers that are closed or mean something else, and such as have fired', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(os.eventfd(7), 10); at(os.eventfd(3, os.EFD_SEMAPHORE | os.EFD_NONBLOCK), 11)
at(os.eventfd(0), 9)
os.write(9, struct.pack("Q", 2**64 - 2))
r, w = os.pipe(); at(r, 12); at(w, 13)
for n in (20, 21, 22):
    e = select.epoll(); os.dup2(e.fileno(), n); e.close()
inner = select.epoll.fromfd(22); outer = select.epoll.fromfd(21); once = select.epoll.fromfd(20)
inner.register(12, select.EPOLLIN | select.EPOLLET)
outer.register(22, select.EPOLLIN)
os.dup2(11, 30)
outer.register(30, select.EPOLLIN)
os.dup2(10, 30)
os.dup2(11, 31)
outer.register(31, select.EPOLLIN)
os.close(31)
once.register(13, select.EPOLLOUT | select.EPOLLONESHOT)
assert len(once.poll(0)) == 1
os.write(13, b"z")
once.register(12, select.EPOLLIN | select.EPOLLONESHOT)
assert len(once.poll(0)) == 1
once.register(10, select.EPOLLIN | select.EPOLLONESHOT)
assert len(once.poll(0)) == 1
`,
  );
  const sorted = (table: typeof after.table) => ({
    ...table,
    files: table.files.map((file) =>
      file.kind === 'epoll' ? { ...file, members: [...file.members].sort((a, b) => a.fd - b.fd) } : file,
    ),
  });
  t.deepEqual(sorted(after.table), sorted(before.table));
});

test('who lets go of a descriptor closes it: its member stays while another descriptor means the same', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
def both(fd, number): os.dup2(fd, number + 1); return at(fd, number)
both(os.eventfd(1), 10); both(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach(), 12)
r, w = os.pipe(); both(r, 14); at(w, 16)
at(os.eventfd(2), 17)
e = select.epoll(); os.dup2(e.fileno(), 20); e.close()
keep = select.epoll.fromfd(20)
for fd in (10, 12, 14, 17): keep.register(fd, select.EPOLLIN)
`,
    parseChoices([10, 12, 14, 17], []),
  );
  const membersIn = (captured: typeof after) => {
    const set = fileOf(captured, 20);
    if (set.kind !== 'epoll') throw new Error('no epoll set');
    return set.members
      .map(({ fd, file }) => [fd, captured.table.files.indexOf(fileOf(captured, fd + 1)) === file])
      .sort();
  };
  const expected = [
    [10, true],
    [12, true],
    [14, true],
  ];
  t.deepEqual(membersIn(before as typeof after), expected);
  t.deepEqual(membersIn(after), expected);
  t.deepEqual(before.warnings, []);
});

test('what takes the place of a member is watched if it can be, and a warning says so', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(os.eventfd(1), 10); at(os.eventfd(2), 11)
os.dup2(11, 12); os.mkfifo("fifo")
e = select.epoll(); os.dup2(e.fileno(), 20); e.close()
keep = select.epoll.fromfd(20); keep.register(10, select.EPOLLIN); keep.register(11, select.EPOLLIN)
`,
    parseChoices([], ['10=/dev/null', '11=/dev/random']),
  );
  const set = fileOf(after, 20);
  t.deepEqual(set.kind === 'epoll' && set.members.map(({ fd }) => fd), [11]);
  t.deepEqual(
    before.warnings
      .map((line) => /^descriptor 20 \(epoll set\): .* descriptor (\d+) /.exec(line)?.[1])
      .sort(),
    ['10', '11'],
  );
});
