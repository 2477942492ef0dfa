/** Signals for input and output (F_SETOWN, F_SETSIG, O_ASYNC) and leases: the last that is done to a description. */
import { O } from '../../fcntl.js';
import type { OpenFile } from '../../snapshot/descriptors.js';
import { call, show } from '../calls.js';
import type { Op } from '../program.js';
import type { Place } from './bench.js';
import { close, control, duplicate } from './calls.js';
import type { Tools } from './planner.js';

const FIOASYNC = 0x5452;
const F_RDLCK = 0;
const F_WRLCK = 1;

/** For some files: nothing of what the thaw has done to them sends a signal, as nobody was named before. */
export function planSignals(places: readonly Place[], tools: Tools): Op[] {
  return places.flatMap((place) => {
    const file = tools.bench.table.files[place.index]!;
    const { at } = place;
    return [
      ...name(file, at, place, tools),
      ...byItsNumber(file, place, (fd) => [...lease(file, fd, place), ...begin(file, fd, place, tools)]),
    ];
  });
}

function name({ signals }: OpenFile, fd: number, place: Place, { bench, tidOf }: Tools): Op[] {
  if (!signals) return [];
  const label = `cannot set who receives its signals (${place.name})`;
  const ops: Op[] = [];
  if (signals.signal !== 0)
    ops.push(control(fd, 'SETSIG', signals.signal, String(signals.signal), { label }));
  const { owner } = signals;
  if (owner.kind === 'nobody') return ops;
  const pid = bench.arena.cell();
  ops.push(call('getpid', [], { result: pid }));
  if (owner.kind === 'process') return [...ops, control(fd, 'SETOWN', pid, show(pid), { label })];
  const tid = owner.tid === null ? pid : tidOf(owner.tid);
  const address = bench.arena.bytes(new Uint8Array(8)); // struct f_owner_ex: F_OWNER_TID is 0
  return [
    ...ops,
    { op: 'store', address: address + 4n, width: 4, value: tid, label },
    control(fd, 'SETOWN_EX', address, `{F_OWNER_TID, ${show(tid)}}`, { label }),
  ];
}

/** The number that its signals bear, where no descriptor has it any more: for a moment it has; `null` for most. */
export function borrowedNumber(
  { signals }: OpenFile,
  { descriptors }: Pick<Place, 'descriptors'>,
): number | null {
  const number = signals?.number;
  return number === undefined || descriptors.some(({ fd }) => fd === number) ? null : number;
}

/** Signals bear the number by which they are asked for. */
function byItsNumber(file: OpenFile, place: Place, ask: (fd: number) => Op[]): Op[] {
  const number = borrowedNumber(file, place);
  if (number === null || number === place.at) return ask(file.signals?.number ?? place.at);
  const label = `cannot use number ${number}, which its signals bear (${place.name})`;
  return [duplicate(place.at, number, true, { label }), ...ask(number), close(number)];
}

/** Where somebody else has the file open meanwhile: EAGAIN. */
function lease(file: OpenFile, fd: number, place: Place): Op[] {
  if (file.lease === undefined) return [];
  const [type, shown] = file.lease === 'write' ? [F_WRLCK, 'F_WRLCK'] : [F_RDLCK, 'F_RDLCK'];
  const path = file.kind === 'file' ? file.path : `its ${file.kind}`;
  return [
    control(fd, 'SETLEASE', type, shown, { label: `cannot take the lease on ${path} (${place.name})` }),
  ];
}

function begin(file: OpenFile, fd: number, { name }: Place, { bench }: Tools): Op[] {
  if (!(file.flags & O.ASYNC) || !file.signals) return [];
  const label = `cannot make it send signals (${name})`;
  // A regular file has none to send, whatever its flags say; neither has every stream.
  const one = bench.arena.bytes(Uint8Array.of(1, 0, 0, 0));
  return [
    call('ioctl', [fd, FIOASYNC, one], {
      label,
      check: { kind: 'ok', tolerated: ['ENOTTY'] },
      text: `ioctl(${fd}, FIOASYNC, [1])`,
    }),
  ];
}
