/** The master of a pseudoterminal. */
import { slavePath } from '../../pty.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { Flag, type Op } from '../program.js';
import { close, control, open } from './calls.js';
import type { KindPlanner } from './planner.js';
import { isFree, labelOf, makesSession, OPENED, sessionLabel } from './pty.js';
import { leadSession } from './session.js';

/** The master: `makePtys` makes it. */
export const ptyMaster: KindPlanner<OpenFileOf<'pty-master'>> = {
  make: () => [],
  check: (master, place, { bench }) => {
    const { path, number } = master;
    const label = labelOf(place);
    const fd = bench.arena.cell(-1n);
    const failed = bench.mark();
    return [
      open(bench.arena, path, OPENED, { label, result: fd }),
      // The failure has been told; nothing more is to be said of this one.
      control(fd, 'GETFD', 0, '', { check: { kind: 'ok', tolerated: ['EBADF'], jump: failed } }),
      close(fd),
      ...isFree(slavePath(path, number), number, label, bench),
      { op: 'mark', name: failed },
      // Under its old id the process is the first of a group of its own anyway.
      ...(makesSession(master, place, bench)
        ? onlyNewIds(leadSession(sessionLabel(place), bench, Flag.CHECK))
        : []),
    ];
  },
};

function onlyNewIds(ops: readonly Op[]): Op[] {
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, when: (op.when ?? 0) | Flag.PID_NEW }));
}
