/** The clocks of a process that is in a time namespace: time_namespaces(7). */
import { readFileSync } from 'node:fs';
import { UnsupportedError } from '../errors.js';
import { namespaceOf } from './namespaces.js';

/** How far a process's clocks are ahead of ours, in nanoseconds. */
export interface ClockOffsets {
  readonly monotonic: bigint;
  readonly boottime: bigint;
}

const NONE: ClockOffsets = { monotonic: 0n, boottime: 0n };
const SECOND = 1_000_000_000n;

/**
 * Compares the clocks of a process with those that we see.
 * @throws UnsupportedError where its offsets cannot be seen
 */
export function clockOffsets(pid: number): ClockOffsets {
  const own = namespaceOf('self', 'time');
  const its = namespaceOf(pid, 'time');
  if (own === its) return NONE;
  // The file shows the namespace of the children, which nearly always is the process's own.
  if (its !== namespaceOf(pid, 'time_for_children')) {
    throw new UnsupportedError([
      'the process has made a time namespace for its children, and its own cannot be looked into',
    ]);
  }
  const target = offsetsOf(pid);
  const ours = own === namespaceOf('self', 'time_for_children') ? offsetsOf('self') : NONE;
  return { monotonic: target.monotonic - ours.monotonic, boottime: target.boottime - ours.boottime };
}

function offsetsOf(pid: number | 'self'): ClockOffsets {
  return parseOffsets(readFileSync(`/proc/${pid}/timens_offsets`, 'utf8'));
}

/** Parses `/proc/PID/timens_offsets`: a clock, seconds, nanoseconds in each line. */
export function parseOffsets(text: string): ClockOffsets {
  const offset = (clock: string): bigint => {
    const match = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)`, 'm').exec(text);
    return match ? BigInt(match[1]!) * SECOND + BigInt(match[2]!) : 0n;
  };
  return { monotonic: offset('monotonic'), boottime: offset('boottime') };
}
