import { clockName, duration, siginfoSignal, signalName, signalSet } from '../../names.js';
import type { Process, SignalAction } from '../../snapshot/schema.js';
import type { Style } from './style.js';
import { table } from './table.js';

const SIG_IGN = 1n;
const INTERVAL_TIMERS = ['ITIMER_REAL', 'ITIMER_VIRTUAL', 'ITIMER_PROF'];

/** Signal actions other than the default, and signals that were pending for the whole process. */
export function* signalLines(process: Process, style: Style): Generator<string> {
  const rows = process.signalActions.flatMap((action, i) =>
    action.handler === 0n ? [] : [[signalName(i + 1), describeAction(action)]],
  );
  const pending = process.pendingSignals.map((siginfo) => [siginfoSignal(siginfo), 'pending']);
  if (rows.length + pending.length === 0) return;
  yield '';
  yield style.heading(
    `Signals (${rows.length} with an action${pending.length ? `, ${pending.length} pending` : ''})`,
  );
  yield* table([...rows, ...pending], []);
}

/** Timers that were running, and POSIX timers. */
export function* timerLines(process: Process, style: Style): Generator<string> {
  const running = process.intervalTimers.flatMap(({ remaining, interval }, i) =>
    remaining === 0n ? [] : [[INTERVAL_TIMERS[i] ?? '', left(remaining, interval)]],
  );
  const posix = process.posixTimers.map((timer) => [
    `timer ${timer.id}`,
    `${left(timer.remaining, timer.interval)}, ${clockName(timer.clock)}, ${signalName(timer.signal)}`,
  ]);
  if (running.length + posix.length === 0) return;
  yield '';
  yield style.heading(`Timers (${running.length + posix.length})`);
  yield* table([...running, ...posix], []);
}

function describeAction({ handler, flags, mask }: SignalAction): string {
  if (handler === SIG_IGN) return 'ignored';
  const blocked = mask === 0n ? '' : `, blocks ${signalSet(mask)}`;
  return `handler 0x${handler.toString(16)}, flags 0x${flags.toString(16)}${blocked}`;
}

function left(remaining: bigint, interval: bigint): string {
  const again = interval === 0n ? '' : `, then every ${duration(interval)}`;
  return remaining === 0n ? `not armed${again}` : `${duration(remaining)} left${again}`;
}
