/** timerfd_create(2): made with the other descriptors, started at the very end. */
import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { TFD } from '../../timerfd.js';
import { call, flagNames, show } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, poll } from './calls.js';
import type { KindPlanner } from './planner.js';

type Timer = OpenFileOf<'timerfd'>;

const CREATE_NAMES = { TFD_NONBLOCK: O.NONBLOCK, TFD_CLOEXEC: O.CLOEXEC };
const SETTIME_NAMES = {
  TFD_TIMER_ABSTIME: TFD.TIMER_ABSTIME,
  TFD_TIMER_CANCEL_ON_SET: TFD.TIMER_CANCEL_ON_SET,
};
const SECOND = 1_000_000_000n;
/** A timer that fires sooner than that could do so before its ticks are set: 10 ms. */
const SOON = 10_000_000n;

/** Plans a timer with the time left, or its deadline, and with the ticks that were not read. */
export const timerfd: KindPlanner<Timer> = {
  make: (timer, place, { bench }) =>
    bench.create((closeOnExec) => create(timer, closeOnExec, place), place.at, place.closeOnExec),
  start: (timer, place, { bench }) => {
    const { settimeFlags, ticks, next, interval } = timer;
    const label = `cannot start the timer (${place.name})`;
    const absolute = (settimeFlags & TFD.TIMER_ABSTIME) !== 0;
    const runs = next > 0n && interval > 0n && ticks > 0n;
    // Started when the first of the ticks was due, it counts them all itself, those since the freeze too.
    const first = next - ticks * interval;
    if (runs && absolute && first > 0n) {
      return [settime(timer, first, place, bench, label), hasFired(place, bench, label)];
    }
    // Once it has fired, it rests until it is read: the tick that is due has come, and no other can.
    if (runs && !absolute && next < SOON) {
      return [
        settime(timer, next, place, bench, label),
        hasFired(place, bench, label),
        setTicks(ticks + 1n, place, bench, label),
      ];
    }
    return [
      ...(next > 0n || interval > 0n || settimeFlags !== 0
        ? [settime(timer, next, place, bench, label)]
        : []),
      ...(ticks > 0n ? [setTicks(ticks, place, bench, label)] : []),
    ];
  },
  check: (timer, place, { bench }) => {
    const fd = bench.arena.cell(-1n);
    return [{ ...create(timer, true, place), result: fd } as Op, close(fd)];
  },
};

function create({ clock, flags }: Timer, closeOnExec: boolean, { name }: Place): Op {
  const bits = (flags & O.NONBLOCK) | (closeOnExec ? O.CLOEXEC : 0);
  const label = TFD.ALARM_CLOCKS.includes(clock)
    ? `cannot make a timer that wakes the machine, which takes CAP_WAKE_ALARM (${name})`
    : `cannot make a timer (${name})`;
  return call('timerfd_create', [clock, bits], {
    label,
    text: `timerfd_create(${clock}, ${flagNames(bits, CREATE_NAMES, '0')})`,
  });
}

function settime(
  { settimeFlags, interval }: Timer,
  value: bigint,
  { at }: Place,
  bench: Bench,
  label: string,
): Op {
  const spec = Buffer.alloc(32); // struct itimerspec
  [interval, value].forEach((time, i) => {
    spec.writeBigInt64LE(time / SECOND, i * 16);
    spec.writeBigInt64LE(time % SECOND, i * 16 + 8);
  });
  const names = flagNames(settimeFlags, SETTIME_NAMES, '0');
  return call('timerfd_settime', [at, settimeFlags, bench.arena.bytes(spec), 0], {
    label,
    text: `timerfd_settime(${show(at)}, ${names}, {it_interval=${interval}ns, it_value=${value}ns}, NULL)`,
  });
}

/** Waits for a timer that fires at once: the kernel does so a moment later. */
function hasFired({ at }: Place, bench: Bench, label: string): Op {
  return poll(bench.arena, at, ['IN'], -1, { label, check: { kind: 'equal', expected: 1 } });
}

function setTicks(ticks: bigint, { at }: Place, bench: Bench, label: string): Op {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(ticks);
  return call('ioctl', [at, TFD.IOC_SET_TICKS, bench.arena.bytes(bytes)], {
    label,
    text: `ioctl(${at}, TFD_IOC_SET_TICKS, [${ticks}])`,
  });
}
