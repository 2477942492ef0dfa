import test from 'ava';
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
