/**
 * Sockets in the name of others: a pair, a listening socket and a connection note down who made them (SO_PEERCRED,
 * SO_PEERGROUPS). Where root starts the image, they are made by whoever that was; nobody else could.
 */
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, prctl, tolerate } from '../calls.js';
import type { Cell, Op } from '../program.js';
import type { Bench } from './bench.js';

/** Ids of whoever made a socket; `null` where nothing is known. */
export type Maker = OpenFileOf<'unix'>['peerCredentials'];

const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;
/** What leaves an id as it is. */
const SAME = -1;
/** Groups that are put back; of more, none are changed. */
const MOST_GROUPS = 1024;
const WORD = 0xffff_ffff_ffff_ffffn;

/** What whoever starts the image was before. */
interface Before {
  readonly uid: Cell;
  readonly gid: Cell;
  readonly dumpable: Cell;
  readonly count: Cell;
  readonly groups: bigint;
}

const before = new WeakMap<Bench, Before>();

/** Room for it, the same each time: makers do not nest. */
function roomFor(bench: Bench): Before {
  const { arena } = bench;
  const room = before.get(bench) ?? {
    ...{ uid: arena.cell(), gid: arena.cell(), dumpable: arena.cell(), count: arena.cell() },
    groups: arena.reserve(MOST_GROUPS * 4),
  };
  before.set(bench, room);
  return room;
}

/**
 * Operations in the name of a maker, as far as whoever starts the image is root; then as before. The real and saved ids
 * stay, by which the way back is open and capabilities come back. None of the operations may jump elsewhere.
 */
export function madeBy(maker: Maker, ops: readonly Op[], bench: Bench): Op[] {
  if (maker === null) return [...ops];
  const label = 'cannot make a socket in the name of who made it';
  const { uid, gid, dumpable, count, groups } = roomFor(bench);
  const [many, ours, same] = [bench.mark(), bench.mark(), bench.mark()];
  const permitted = tolerate('EPERM', 'EINVAL');
  return [
    call('geteuid', [], { result: uid, check: { kind: 'equal', expected: 0, jump: ours } }),
    call('getegid', [], { result: gid }),
    prctl('PR_GET_DUMPABLE', PR_GET_DUMPABLE, [], { result: dumpable }),
    call('getgroups', [MOST_GROUPS, groups], { result: count, check: { kind: 'ok', jump: many } }),
    call('setgroups', [maker.groups.length, listOf(maker.groups, bench)], { check: permitted }),
    { op: 'mark', name: many },
    call('setresgid', [SAME, maker.gid, SAME], { check: permitted }),
    call('setresuid', [SAME, maker.uid, SAME], { check: permitted }),
    { op: 'mark', name: ours },
    ...ops,
    {
      ...{ op: 'test', address: uid.cell, width: 8, mask: WORD },
      check: { kind: 'equal', expected: 0, jump: same },
      text: 'test geteuid() == 0',
    },
    // The user first: that gives the capabilities back by which the rest is possible.
    call('setresuid', [SAME, uid, SAME], { label }),
    call('setresgid', [SAME, gid, SAME], { label }),
    call('setgroups', [count, groups], { check: permitted }),
    prctl('PR_SET_DUMPABLE', PR_SET_DUMPABLE, [dumpable], { check: { kind: 'none' } }),
    { op: 'mark', name: same },
  ];
}

function listOf(groups: readonly number[], { arena }: Bench): bigint {
  return arena.bytes(new Uint8Array(Uint32Array.from(groups).buffer));
}

/** A text by which equal makers are known. */
export function makerKey(maker: Maker): string {
  return maker === null ? '' : [maker.uid, maker.gid, ...maker.groups].join(' ');
}
