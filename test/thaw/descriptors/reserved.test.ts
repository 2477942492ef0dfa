/** Memory that a program has set aside in a file, by fallocate(2). */
import { statSync } from 'node:fs';
import test from 'ava';
import { cachedPages } from '../../../src/native/syscalls.js';
import { reservedPages, reserveWarnings } from '../../../src/proc/reserved-pages.js';
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
  const untold = objects.map(({ reserved: _, ...object }) => ({ ...object, extents: [...object.extents] }));
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

const ASIDE = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def aside(fd, first, pages):
  assert libc.fallocate(fd, 1, ctypes.c_long(first * 4096), ctypes.c_long(pages * 4096)) == 0
`;

test('pages that were set aside behind more runs of content than stay apart are there again', async (t) => {
  const code = `${ASIDE}
m = at(os.memfd_create("runs"), 10)
for page in range(0, 10000, 2): os.pwrite(m, b"x", page * 4096)
aside(m, 1, 1)  # in a hole that is filled
aside(m, 20000, 1000)
`;
  const { before, child } = await roundTrip(t, code);
  const { objects, sources } = before.objects;
  t.deepEqual(objects[0]!.reserved, [{ start: 20000n * 4096n, size: 1000 * PAGE }]);
  t.deepEqual(reserveWarnings(objects, sources), []);
  // Up to the last page with content the holes are filled.
  t.is(statSync(`/proc/${child.pid}/fd/10`).blocks * 512, (9999 + 1000) * PAGE);
});

test('pages that were set aside in too many places are told with the reason, and looked for no longer', async (t) => {
  const code = `${ASIDE}
m = at(os.memfd_create("places"), 10)
for page in range(0, 80000, 2): aside(m, page, 1)
`;
  const { before, child } = await roundTrip(t, code);
  const { objects, sources } = before.objects;
  const found = (objects[0]!.reserved ?? []).reduce((sum, { size }) => sum + size, 0);
  t.true(found > 0 && found < 40000 * PAGE);
  t.deepEqual(reserveWarnings(objects, sources), [
    `the memfd places has ${40000 * PAGE - found} bytes set aside (fallocate) that it has not in the image: they are in too many places to look for all of them`,
  ]);
  t.is(statSync(`/proc/${child.pid}/fd/10`).blocks * 512, found);

  const { fd } = sources[0]!;
  let questions = 0;
  const counted: typeof cachedPages = (...range) => {
    questions++;
    return cachedPages(...range);
  };
  reservedPages(fd, [], 0, counted);
  t.true(questions <= 32768, String(questions));
  for (const [code, reason] of [
    ['ENOSYS', /Linux 6\.5/],
    ['EPERM', /only to its owner/],
  ] as const) {
    const extents: [] = [];
    const told = reservedPages(fd, extents, 0, () => {
      throw Object.assign(new Error(code), { code });
    });
    t.deepEqual(told, []);
    t.regex(reserveWarnings([{ ...objects[0]!, extents }], sources)[0] ?? '', reason);
  }
});
