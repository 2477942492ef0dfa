/** A session of the process's own (setsid(2)), whose controlling terminal is one of its own. */
import { O } from '../../fcntl.js';
import { call } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';
import { close, open } from './calls.js';

const HOW = 'start it with: setsid IMAGE';
const LEADS_GROUP = `whoever starts the image under a new id makes it lead a process group; ${HOW}`;
const HAS_TERMINAL = `it leads a session that has another terminal; ${HOW}`;

/**
 * Makes the process lead a session without a terminal: a new one, unless it does so already. Where it was forked for
 * its old id, nothing is in the way.
 * @param without flags under which it is only tested
 */
export function leadSession(label: string, bench: Bench, without = 0): Op[] {
  const { arena } = bench;
  const [pid, group, session, terminal] = [arena.cell(), arena.cell(), arena.cell(), arena.cell()];
  const [free, leads, done] = [bench.mark(), bench.mark(), bench.mark()];
  const same = (left: bigint, jump: string): Op => ({
    ...{ op: 'compare', left, right: pid.cell, size: 4 },
    check: { kind: 'equal', expected: 0, jump },
    text: 'compare with own id',
  });
  return [
    call('getpid', [], { result: pid }),
    call('getpgid', [0], { result: group }),
    same(group.cell, free),
    call('getsid', [0], { result: session }),
    same(session.cell, leads),
    open(arena, '/dev/tty', O.RDWR | O.NOCTTY | O.CLOEXEC, {
      check: { kind: 'ok', tolerated: ['ENXIO', 'ENOENT', 'EACCES', 'EIO'], jump: done },
      result: terminal,
    }),
    close(terminal),
    refuse(HAS_TERMINAL, label, bench),
    { op: 'jump', to: done },
    { op: 'mark', name: leads },
    refuse(LEADS_GROUP, label, bench),
    { op: 'jump', to: done },
    { op: 'mark', name: free },
    call('setsid', [], { label, unless: without }),
    { op: 'mark', name: done },
  ];
}

/** A test that never holds. */
function refuse(reason: string, label: string, { scratch }: Bench): Op {
  return {
    ...{ op: 'test', address: scratch, width: 1, mask: 0n, check: { kind: 'equal', expected: 1 } },
    ...{ label, reason, text: 'refuse' },
  };
}
