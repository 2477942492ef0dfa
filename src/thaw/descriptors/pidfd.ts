/** pidfd_open(2) of the process itself and its threads, whatever their ids are now. */
import { O } from '../../fcntl.js';
import { PIDFD_THREAD } from '../../pidfd.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, flagNames, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Place } from './bench.js';
import { close, control, duplicate } from './calls.js';
import type { KindPlanner } from './planner.js';

const NAMES = { PIDFD_NONBLOCK: O.NONBLOCK, PIDFD_THREAD };

/** Plans a descriptor that names the process, or one of its threads. */
export const pidfd: KindPlanner<OpenFileOf<'pidfd'>> = {
  make: ({ flags, thread }, place, { bench }) => {
    const self = bench.arena.cell();
    // Its thread is made later: until then, the process keeps the number.
    const bits = thread === null ? flags : 0;
    return [
      call('getpid', [], { result: self }),
      ...bench.create(() => open(self, bits, place), place.at, place.closeOnExec),
      // The kernel closes it on exec unless told otherwise.
      ...(place.closeOnExec ? [] : [control(place.at, 'SETFD', 0, '0')]),
    ];
  },
  start: ({ flags, thread }, place, { bench, tidOf }) => {
    if (thread === null) return [];
    const cell = bench.arena.cell();
    return [
      { ...open(tidOf(thread), flags, place), result: cell } as Op,
      ...place.descriptors.map(({ fd, closeOnExec }) => duplicate(cell, fd, closeOnExec)),
      close(cell),
    ];
  },
};

function open(id: Operand, flags: number, { name }: Place): Op {
  const bits = flags & (O.NONBLOCK | PIDFD_THREAD);
  return call('pidfd_open', [id, bits], {
    label: `cannot make a pidfd (${name})`,
    text: `pidfd_open(${show(id)}, ${flagNames(bits, NAMES, '0')})`,
  });
}
