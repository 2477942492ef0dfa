import test from 'ava';
import type { DescriptorTable, OpenFileOf } from '../../../src/snapshot/descriptors.js';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { refusal, roundTrip, withContent } from './support.js';

/** timerfd_create, timerfd_settime with times in nanoseconds, and a wait until it has fired. */
const TIMERS = `
def spec(first, interval):
    return struct.pack("4q", interval // 10**9, interval % 10**9, first // 10**9, first % 10**9)
def timer(number, clock, flags, first, interval):
    fd = at(libc.timerfd_create(clock, os.O_NONBLOCK), number)
    assert libc.timerfd_settime(fd, flags, spec(first, interval), None) == 0
    return fd
def fired(fd):
    select.select([fd], [], [])
`;
const SECOND = 1_000_000_000n;

function timers({ files, descriptors }: DescriptorTable): [number, OpenFileOf<'timerfd'>][] {
  return descriptors.flatMap(({ fd, file: index }) => {
    const file = files[index]!;
    return file.kind === 'timerfd' ? [[fd, file]] : [];
  });
}

test('timers keep clock, flags, ticks, interval, and time left or deadline', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `${TIMERS}
import time
timer(10, 0, 0, 1000 * 10**9, 5); timer(11, 1, 0, 2000 * 10**9, 0); timer(12, 7, 0, 3000 * 10**9, 7)
for i, clock in enumerate((0, 1, 7)):
    timer(20 + i, clock, 1, time.clock_gettime_ns(clock) + (i + 1) * 1000 * 10**9, 11)
timer(23, 0, 3, 2**63 - 1, 0)
fired(timer(30, 1, 0, 1, 0)); fired(timer(31, 0, 1, 10**9, 0)); timer(32, 7, 1, 0, 9)
at(libc.timerfd_create(1, 0), 33)
fired(timer(34, 1, 0, 1, 1000 * 10**9))
fired(timer(35, 1, 1, time.clock_gettime_ns(1) - 5 * 10**9, 2 * 1000 * 10**9))
`,
  );
  const [was, is] = [timers(before.table), timers(after.table)];
  t.is(was.length, 13);
  const still = (list: typeof was) => list.map(([fd, file]) => [fd, { ...file, next: file.next > 0n }]);
  t.deepEqual(still(is), still(was));
  is.forEach(([fd, { next, settimeFlags }], i) => {
    const off = next - was[i]![1].next;
    // Of a deadline only what lies between two looks at it is lost; time left runs.
    if (settimeFlags) t.true(off > -SECOND / 100n && off < SECOND / 100n, `${fd}: ${off} ns off`);
    else t.true(off <= 0n && off > -100n * SECOND, `${fd}: ${off} ns off`);
  });
  t.like(new Map(was).get(34), { ticks: 1n, interval: 1000n * SECOND });
  t.like(new Map(was).get(31), { ticks: 1n, next: 0n, settimeFlags: 1 });
});

test('ticks that were missed, with the phase', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `${TIMERS}
import time
now = time.clock_gettime_ns(1)
fired(timer(10, 1, 1, now - 40 * 10**9 - 5 * 10**8, 10**9))
fired(timer(11, 1, 0, 1, 3 * 10**6))
os.dup2(10, 12)
`,
  );
  const [was, is] = [timers(before.table), timers(after.table)];
  const [[, grid], [, fast]] = was as [(typeof was)[0], (typeof was)[0]];
  const [[, gridAfter], [, fastAfter]] = is as [(typeof is)[0], (typeof is)[0]];
  t.true(grid.ticks >= 41n);
  // Each tick later, the next is due an interval later: what was first due is the same.
  const first = (file: typeof grid): bigint => file.next - file.ticks * file.interval;
  const off = first(gridAfter) - first(grid);
  t.true(off > -SECOND / 100n && off < SECOND / 100n, `${off} ns off`);
  t.true(fastAfter.ticks >= fast.ticks && fast.ticks >= 1n);
  t.is(fastAfter.settimeFlags, 0);
  t.is(
    after.table.descriptors.find(({ fd }) => fd === 12)!.file,
    before.table.descriptors.find(({ fd }) => fd === 10)!.file,
  );
});

test('a cancellation that was not read yet is refused', async (t) => {
  const target = await startTarget(
    t,
    `${TIMERS}
timer(10, 0, 3, 2**63 - 1, 0)
fcntl.ioctl(10, 0x40085400, struct.pack("Q", 1))
`,
  );
  const { problems } = capture(target);
  t.is(problems.length, 1);
  t.regex(
    problems[0]!,
    /^descriptor 10 \(timerfd, anon_inode:\[timerfd\]\) cannot be carried: the clock may have been set/,
  );
});

test('a timer that wakes the machine takes a privilege', async (t) => {
  if (process.getuid?.() !== 0) {
    t.log('only root can make one');
    t.pass();
    return;
  }
  const target = await startTarget(t, `${TIMERS}timer(10, 9, 0, 1000 * 10**9, 0)`);
  const { table, objects, problems } = capture(target);
  t.deepEqual(problems, []);
  const planned = withContent(table, objects);
  const says =
    /^cannot make a timer that wakes the machine, .* \(descriptor 10, timerfd\): Operation not permitted\n$/;
  const without = ['setpriv', '--bounding-set=-wake_alarm', '--inh-caps=-wake_alarm'];
  t.regex(await refusal(t, planned, 0, without), says);
  t.regex(await refusal(t, planned, 2, without), says);
});
