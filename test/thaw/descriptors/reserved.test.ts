/** Memory that a program has set aside in a file, by fallocate(2). */
import { statSync } from 'node:fs';
import test from 'ava';
import { reserveWarnings } from '../../../src/proc/reserved-pages.js';
import { roundTrip } from './support.js';

const PAGE = 4096;

test('pages that were set aside are there again, and no others', async (t) => {
  const code = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def aside(fd, first, pages, keep=1):
  assert libc.fallocate(fd, keep, ctypes.c_long(first * 4096), ctypes.c_long(pages * 4096)) == 0
m = at(os.memfd_create("logs"), 10)
aside(m, 0, 512, 0); os.pwrite(m, b"content", 100 * 4096 + 5)
gone = at(os.open("/dev/shm/proc2elf-%d" % os.getpid(), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), 11)
os.unlink("/dev/shm/proc2elf-%d" % os.getpid())
os.ftruncate(gone, 1 << 30)
for first in 1, 3, 77, 1 << 17: aside(gone, first, 2 if first == 77 else 1)
os.pwrite(gone, b"x", 4096 * 4); os.pwrite(gone, b"y", 4096 * 9 + 1)
aside(gone, 1 << 20, 3)  # behind its end
none = at(os.memfd_create("none"), 12)
os.ftruncate(none, 1 << 30); os.pwrite(none, b"z", 1 << 29)
far = at(os.memfd_create("far"), 13)
aside(far, 1, 1)
`;
  const { before, after, child, target, planned, again } = await roundTrip(t, code);
  const runs = before.objects.objects.map(({ reserved = [] }) =>
    reserved.map(({ start, size }) => [Number(start) / PAGE, size / PAGE]),
  );
  t.deepEqual(runs, [
    [
      [0, 100],
      [101, 411],
    ],
    [
      [1, 1],
      [3, 1],
      [77, 2],
      [1 << 17, 1],
      [1 << 20, 3],
    ],
    [],
    [[1, 1]],
  ]);
  const wanted = [512, 10, 1, 1];
  wanted.forEach((pages, i) => {
    t.is(statSync(`/proc/${child.pid}/fd/${10 + i}`).blocks * 512, pages * PAGE, String(10 + i));
  });
  const reserved = ({ objects }: typeof after) => objects.objects.map((object) => object.reserved);
  t.deepEqual(reserved(after), reserved(before));
  t.deepEqual(again.content, planned.content);
  t.deepEqual(
    before.objects.objects.map(({ size }) => size),
    [512 * PAGE, 1 << 30, 1 << 30, 0],
  );
  const { objects, sources } = before.objects;
  t.deepEqual(reserveWarnings(objects, sources), []);
  const untold = objects.map(({ reserved: _, ...object }) => object);
  t.deepEqual(
    reserveWarnings(untold, sources).map((line) =>
      /^the (.*) has (\d+) bytes set aside/.exec(line)?.slice(1),
    ),
    [
      ['memfd logs', String(511 * PAGE)],
      [`file /dev/shm/proc2elf-${target.pid}`, String(8 * PAGE)],
      ['memfd far', String(PAGE)],
    ],
  );
});
