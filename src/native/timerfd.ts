/** Timers behind descriptors: what the kernel says of them beyond `/proc`. */
import { addon } from './addon.js';
import { Clock, clockGettime } from './syscalls.js';

const NR_TIMERFD_GETTIME = 287;
const SECOND = 1_000_000_000n;
/** What the clocks that wake a sleeping machine, CLOCK_REALTIME_ALARM and CLOCK_BOOTTIME_ALARM, show. */
const SHOWS: Readonly<Record<number, number>> = { 8: Clock.REALTIME, 9: Clock.BOOTTIME };

/**
 * timerfd_gettime(2): nanoseconds until the timer fires; 0 for one that does not run. Of a periodic
 * timer that has fired, the kernel counts the ticks that were missed, and lets it run on.
 */
export function timerfdGettime(fd: number): bigint {
  const spec = new BigInt64Array(4); // struct itimerspec
  addon.syscall(NR_TIMERFD_GETTIME, fd, new Uint8Array(spec.buffer));
  return spec[2]! * SECOND + spec[3]!;
}

/**
 * When a timer that runs fires, on its clock, in nanoseconds: never too early, and late by what lies
 * between two looks, at the timer and at the clock.
 */
export function timerfdDeadline(fd: number, clock: number): bigint {
  const once = (): bigint => {
    const left = timerfdGettime(fd);
    return left + clockGettime(SHOWS[clock] ?? clock);
  };
  // The best of several: another program may run between the looks.
  return [once(), once(), once()].reduce((a, b) => (a < b ? a : b));
}
