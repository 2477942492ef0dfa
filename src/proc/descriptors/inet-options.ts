/** Options of an IPv4 or IPv6 socket: those in which it differs from a new one. */
import { optionName, SO, SOCKET_OPTIONS, SOL } from '../../inet.js';
import { getOption, hasFilter } from '../../native/inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { Refusal } from './refusal.js';

const SO_BUF_LOCK = 72;
/** The bits of SO_BUF_LOCK: a size that the program has set, which the kernel no longer changes. */
const LOCKS = { [SO.SNDBUF]: 1, [SO.RCVBUF]: 2 } as const;

/**
 * Reads the options of a socket.
 * @param copy a duplicate of it
 * @param fresh a new socket of its family and protocol in its network namespace
 * @param idle it is not connected
 * @throws Refusal for an option that is not carried
 */
export function captureOptions(copy: number, fresh: number, idle: boolean): OpenFileOf<'inet'>['options'] {
  if (hasFilter(copy)) throw new Refusal('it has a filter (SO_ATTACH_FILTER), which is not carried');
  const set = SOCKET_OPTIONS.flatMap(({ level, option, mode }) => {
    if (mode === 'idle' && !idle) return [];
    const value = getOption(copy, level, option);
    if (!value) return [];
    const usual = getOption(fresh, level, option);
    if (usual && Buffer.compare(value, usual) === 0 && mode !== 'always') return [];
    if (mode === 'refused') throw new Refusal(`its option ${optionName(level, option)} is not carried`);
    return [{ level, option, value }];
  });
  return [...set, ...captureSizes(copy, fresh)];
}

/** Sizes of buffers that the program has chosen. */
function captureSizes(copy: number, fresh: number): OpenFileOf<'inet'>['options'] {
  const locks = getOption(copy, SOL.SOCKET, SO_BUF_LOCK);
  return [SO.SNDBUF, SO.RCVBUF].flatMap((option) => {
    const value = getOption(copy, SOL.SOCKET, option)!;
    const usual = getOption(fresh, SOL.SOCKET, option)!;
    // Before Linux 5.15 nothing tells whether the kernel chose the size.
    const chosen = locks ? (locks[0]! & LOCKS[option]) !== 0 : Buffer.compare(value, usual) !== 0;
    return chosen ? [{ level: SOL.SOCKET, option, value }] : [];
  });
}
