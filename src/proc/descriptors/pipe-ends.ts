/** Pipes and FIFOs as inodes: which ends of each the process has. */

import { type BigIntStats, constants } from 'node:fs';
import { O } from '../../fcntl.js';
import { inodeKey } from '../inode.js';
import type { Entry } from './entries.js';

const { S_IFMT, S_IFIFO } = constants;

/** What the process has of a pipe: the first descriptor of each end. */
export interface PipeEnds {
  reader: Entry | null;
  writer: Entry | null;
}

/**
 * Where the end lies that the process may lack:
 * - `inside`: the process has both ends, and nobody else has one
 * - `outside`: another process has an end
 * - `closed`: nobody has the other end
 */
export type OtherEnd = 'inside' | 'outside' | 'closed';

/** Which ends an access mode opens. */
export function endOf(flags: number): 'read' | 'write' | 'both' {
  return (['read', 'write', 'both', 'both'] as const)[flags & 3]!;
}

/** Whether it is a pipe or a FIFO: to the kernel they are of one type. */
export function isFifo(stat: BigIntStats): boolean {
  return (Number(stat.mode) & S_IFMT) === S_IFIFO;
}

/** Ends of all pipes and FIFOs, by `device inode`. */
export function pipeEnds(entries: readonly Entry[]): Map<string, PipeEnds> {
  const pipes = new Map<string, PipeEnds>();
  for (const entry of entries) {
    const { stat, info } = entry;
    if (!isFifo(stat)) continue;
    const key = inodeKey(stat);
    const ends = pipes.get(key) ?? { reader: null, writer: null };
    pipes.set(key, ends);
    if (info.flags & O.PATH) continue;
    const end = endOf(info.flags);
    if (end !== 'write') ends.reader ??= entry;
    if (end !== 'read') ends.writer ??= entry;
  }
  return pipes;
}
