import test from 'ava';
import { fileOf } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

test('eventfds keep their count, and how it is read', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
at(os.eventfd(7), 10); at(os.eventfd(3, os.EFD_SEMAPHORE | os.EFD_NONBLOCK), 11)
at(os.eventfd(0), 12); at(os.eventfd(0, os.EFD_CLOEXEC), 13)
os.write(13, struct.pack("Q", 2**64 - 2))
os.dup2(10, 14, inheritable=False)
`,
  );
  t.deepEqual(after.table, before.table);
  const counts = [10, 11, 12, 13].map((fd) => {
    const file = fileOf(before, fd);
    return file.kind === 'eventfd' ? [file.count, file.semaphore] : null;
  });
  t.deepEqual(counts, [
    [7n, false],
    [3n, true],
    [0n, false],
    [2n ** 64n - 2n, false],
  ]);
  t.is(fileOf(after, 14), fileOf(after, 10));
});
