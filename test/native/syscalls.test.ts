import { closeSync, openSync } from 'node:fs';
import test from 'ava';
import { addon } from '../../src/native/addon.js';
import * as syscalls from '../../src/native/syscalls.js';

const PAGE = 4096n;

function pipe(): [number, number] {
  const ends = new Int32Array(2);
  addon.syscall(22, new Uint8Array(ends.buffer));
  return [ends[0]!, ends[1]!];
}

test('descriptors: kcmp, pidfd_getfd, flags, owner, pipes', (t) => {
  const { pid } = process;
  const [reader, writer] = pipe();
  const pidfd = syscalls.pidfdOpen(pid);
  const copy = syscalls.pidfdGetfd(pidfd, writer);
  t.is(syscalls.kcmp(pid, pid, syscalls.Kcmp.FILE, writer, copy), 0);
  t.not(syscalls.kcmp(pid, pid, syscalls.Kcmp.FILE, writer, reader), 0);
  t.is(syscalls.fcntlGetfl(writer), 1);
  t.is(syscalls.fcntlGetPipeSize(reader), 65536);
  t.is(syscalls.fcntlSetPipeSize(reader, 4096), 4096);
  t.deepEqual(syscalls.fcntlGetOwner(reader), { type: 'thread', id: 0 });
  t.is(syscalls.fcntlGetsig(reader), 0);

  const [other, otherWriter] = pipe();
  addon.syscall(1, writer, Buffer.from('hello'), 5);
  t.is(syscalls.fionread(reader), 5);
  t.is(syscalls.tee(reader, otherWriter, 100, syscalls.SPLICE_F_NONBLOCK), 5);
  t.is(syscalls.fionread(reader), 5);
  t.is(syscalls.fionread(other), 5);
  t.throws(() => syscalls.tcgets2(reader), { code: 'ENOTTY' });
  t.throws(() => syscalls.tiocgwinsz(reader), { code: 'ENOTTY' });
  t.throws(() => syscalls.fcntlGetSeals(reader), { code: 'EINVAL' });
  for (const fd of [reader, writer, other, otherWriter, copy, pidfd]) closeSync(fd);
});

test('epoll members', (t) => {
  const { pid } = process;
  const [reader, writer] = pipe();
  const epoll = Number(addon.syscall(291, 0)); // epoll_create1
  addon.syscall(233, epoll, 1, reader, new Uint8Array(12)); // EPOLL_CTL_ADD
  t.is(syscalls.kcmpEpoll(pid, reader, pid, epoll, reader, 0), 0);
  t.not(syscalls.kcmpEpoll(pid, writer, pid, epoll, reader, 0), 0);
  t.throws(() => syscalls.kcmpEpoll(pid, reader, pid, epoll, writer, 0), { code: 'ENOENT' });
  for (const fd of [reader, writer, epoll]) closeSync(fd);
});

test('scheduling, limits, clocks, robust list', (t) => {
  const { pid } = process;
  t.true(syscalls.schedGetaffinity(pid).some((byte) => byte !== 0));
  t.is(syscalls.schedGetscheduler(pid), 0);
  t.is(syscalls.schedGetparam(pid), 0);
  t.true(Math.abs(syscalls.getpriority(pid)) <= 20);
  t.true(syscalls.prlimit(pid, 7).soft <= syscalls.prlimit(pid, 7).hard);
  t.is(syscalls.getRobustList(pid).length, 24n);
  t.true(Math.abs(Number(syscalls.clockGettime(syscalls.Clock.REALTIME) / 1_000_000n) - Date.now()) < 1000);
  t.true(
    syscalls.clockGettime(syscalls.Clock.BOOTTIME) >=
      syscalls.clockGettime(syscalls.Clock.MONOTONIC) - 10n ** 9n,
  );
});

test('scanPagemap lists the pages that exist', (t) => {
  const length = 16n * PAGE;
  const address = addon.syscall(9, 0, length, 3, 0x22, -1, 0); // mmap, private and anonymous
  addon.syscall(28, address, length, 15); // MADV_NOHUGEPAGE
  const zero = openSync('/dev/zero', 'r');
  const fill = (page: bigint, pages: bigint) => addon.syscall(0, zero, address + page * PAGE, pages * PAGE);
  fill(3n, 1n);
  fill(7n, 2n);
  const pagemap = openSync('/proc/self/pagemap', 'r');
  const expected = [
    { start: address + 3n * PAGE, end: address + 4n * PAGE, file: false },
    { start: address + 7n * PAGE, end: address + 9n * PAGE, file: false },
  ];
  t.deepEqual(syscalls.scanPagemap(pagemap, address, address + length), expected);
  t.deepEqual(syscalls.scanByWords(pagemap, address, address + length), expected);

  const file = openSync(process.execPath, 'r');
  const mapped = addon.syscall(9, 0, length, 3, 2, file, 0); // MAP_PRIVATE
  addon.syscall(0, zero, mapped + PAGE, PAGE);
  for (const scan of [syscalls.scanPagemap, syscalls.scanByWords]) {
    const own = scan(pagemap, mapped, mapped + length).filter((range) => !range.file);
    t.deepEqual(own, [{ start: mapped + PAGE, end: mapped + 2n * PAGE, file: false }]);
  }
  for (const fd of [zero, pagemap, file]) closeSync(fd);
});

test('scanPagemap of a long range with many holes', (t) => {
  const pages = 20_000n;
  const address = addon.syscall(9, 0, pages * PAGE, 3, 0x22, -1, 0);
  addon.syscall(28, address, pages * PAGE, 15);
  const zero = openSync('/dev/zero', 'r');
  for (let page = 0n; page < pages; page += 2n) addon.syscall(0, zero, address + page * PAGE, 1);
  const pagemap = openSync('/proc/self/pagemap', 'r');
  const ranges = syscalls.scanPagemap(pagemap, address, address + pages * PAGE);
  t.is(ranges.length, Number(pages / 2n));
  t.deepEqual(ranges, syscalls.scanByWords(pagemap, address, address + pages * PAGE));
  t.deepEqual(syscalls.scanPagemap(pagemap, 1n << 46n, (1n << 46n) + (1n << 40n)), []);
  addon.syscall(11, address, pages * PAGE);
  for (const fd of [zero, pagemap]) closeSync(fd);
});
