/** timerfd_create(2): a timer behind a descriptor. */
import { readFileSync } from 'node:fs';
import { timerfdDeadline, timerfdGettime } from '../../native/timerfd.js';
import { TFD } from '../../timerfd.js';
import { clockOffsets } from '../clocks.js';
import { infoField } from './fdinfo.js';
import type { DescriptorKind } from './kind.js';
import { Refusal } from './refusal.js';

/** What fdinfo says of a timer; nanoseconds. */
interface TimerInfo {
  readonly clock: number;
  /** `TFD_TIMER_*` as given to the last timerfd_settime(2). */
  readonly settimeFlags: number;
  /** How often it has fired since it was read. */
  readonly ticks: bigint;
  /** Time left; 0: it does not run. */
  readonly left: bigint;
  readonly interval: bigint;
}

/** A timer that ticks faster than it can be looked at has no phase worth the name. */
const ATTEMPTS = 50;

/** Timers made by timerfd_create(2), with ticks that were not yet read. */
export const timerfd: DescriptorKind = {
  matches: ({ link }) => link === 'anon_inode:[timerfd]',
  describe: ({ link }) => `timerfd, ${link}`,
  problem: ({ info }) => cancellation(parseTimer(info.text)),
  capture: ({ entries: [entry] }, { pid, withCopy }) =>
    withCopy(entry!.fd, (copy) => {
      const { next, ...timer } = observe(copy, parseTimer(entry!.info.text));
      return {
        kind: 'timerfd',
        flags: entry!.info.flags,
        clock: timer.clock,
        settimeFlags: timer.settimeFlags,
        ticks: timer.ticks,
        next:
          timer.settimeFlags & TFD.TIMER_ABSTIME && next > 0n ? next + clockAhead(pid, timer.clock) : next,
        interval: timer.interval,
      };
    }),
};

const CLOCK_MONOTONIC = 1;
const BOOTTIME_CLOCKS: readonly number[] = [7, 9]; // with its alarm clock

/** How far the clock of a timer is ahead of the one that we see. */
function clockAhead(pid: number, clock: number): bigint {
  if (clock === CLOCK_MONOTONIC) return clockOffsets(pid).monotonic;
  return BOOTTIME_CLOCKS.includes(clock) ? clockOffsets(pid).boottime : 0n;
}

/** The state of one moment; `next`: time left, or for an absolute timer the time at which it fires. */
function observe(copy: number, before: TimerInfo): TimerInfo & { readonly next: bigint } {
  const why = cancellation(readTimer(copy));
  if (why !== null) throw new Refusal(why);
  for (let attempt = 0; ; attempt++) {
    const timer = readTimer(copy);
    if (timer.left === 0n) {
      // Its time is up, and the kernel is about to count that.
      if (timer.ticks === 0n && before.left > 0n && attempt < ATTEMPTS) continue;
      if (timer.ticks === 0n || timer.interval === 0n) return { ...timer, next: 0n };
      // A periodic timer rests from its first tick until it is read, and says nothing of its phase
      // meanwhile. Asked for the time it runs on, as after a read, with the missed ticks counted.
      timerfdGettime(copy);
      if (attempt < ATTEMPTS) continue;
    }
    const left = timer.left === 0n ? timer.interval : timer.left;
    if (!(timer.settimeFlags & TFD.TIMER_ABSTIME)) return { ...timer, left, next: left };
    const next = timerfdDeadline(copy, timer.clock);
    const after = readTimer(copy);
    // Unless it has fired in between.
    if ((after.left > 0n && after.ticks === timer.ticks) || attempt >= ATTEMPTS) {
      return { ...timer, left, next };
    }
  }
}

/** Why a timer cannot be carried whose next read(2) fails since the clock was set; `null` if it does not. */
function cancellation({ clock, settimeFlags, ticks, left }: TimerInfo): string | null {
  const wanted = TFD.TIMER_ABSTIME | TFD.TIMER_CANCEL_ON_SET;
  if (!TFD.REALTIME_CLOCKS.includes(clock) || (settimeFlags & wanted) !== wanted) return null;
  // A timer that has fired once, and only that, stands still.
  if (ticks === 0n || (ticks === 1n && left === 0n)) return null;
  return 'the clock may have been set (TFD_TIMER_CANCEL_ON_SET), which the process has yet to be told';
}

function readTimer(copy: number): TimerInfo {
  return parseTimer(readFileSync(`/proc/self/fdinfo/${copy}`, 'latin1'));
}

function parseTimer(text: string): TimerInfo {
  return {
    clock: Number(infoField(text, 'clockid')),
    settimeFlags: Number.parseInt(infoField(text, 'settime flags') ?? '0', 8),
    ticks: BigInt(infoField(text, 'ticks') ?? 0),
    left: parseTime(infoField(text, 'it_value')),
    interval: parseTime(infoField(text, 'it_interval')),
  };
}

/** `(seconds, nanoseconds)`. */
function parseTime(text: string | null): bigint {
  const match = /^\((\d+), (\d+)\)$/.exec(text ?? '');
  return match ? BigInt(match[1]!) * 1_000_000_000n + BigInt(match[2]!) : 0n;
}
