import test from 'ava';
import { roundTrip } from './support.js';

test('signalfds', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(libc.signalfd(-1, struct.pack("Q", 1 << 9 | 1 << 63), os.O_NONBLOCK), 10)
at(libc.signalfd(-1, struct.pack("Q", 0), 0), 11)
e = select.epoll(); os.dup2(e.fileno(), 20); e.close()
keep = select.epoll.fromfd(20); keep.register(10, select.EPOLLIN)
`,
  );
  t.deepEqual(after.table, before.table);
  t.true(after.table.files.some(({ kind }) => kind === 'epoll'));
  t.true(
    before.table.files.some((file) => file.kind === 'signalfd' && file.mask === ((1n << 9n) | (1n << 63n))),
  );
});
