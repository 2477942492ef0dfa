/** Descriptors that are the streams of the image. */

import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call } from '../calls.js';
import type { Op } from '../program.js';
import { type Bench, isOwnStream, type Place, STANDARD } from './bench.js';
import { close, control, duplicate, open, setCloseOnExec } from './calls.js';
import type { KindPlanner } from './planner.js';

const TCGETS2 = 0x802c542a;
const FIONBIO = 0x5421;
const STREAMS = ['standard input', 'standard output', 'standard error'] as const;
const REOPENED = O.ACCMODE | O.APPEND | O.NONBLOCK | O.LARGEFILE;

/** Plans what becomes one of the streams of the image. */
export const stream: KindPlanner<OpenFileOf<'stream'>> = {
  make: (file, place, { bench }) => {
    const { descriptors } = place;
    if (descriptors.length > 0 && descriptors.every(({ fd }) => isOwnStream(file, fd))) return [];
    bench.opened(place.at);
    const share = duplicate(file.stream, place.at, place.closeOnExec, { label: labelOf(file.stream, place) });
    return file.reopen === 'shared' ? [share] : reopen(file, place, bench, share);
  },
};

/** `cannot take over standard input (descriptor 5)` */
function labelOf(stream: number, { name }: Pick<Place, 'name'>): string {
  return `cannot take over ${STREAMS[stream]} (${name})`;
}

/** A description of its own, where the stream is a terminal that can be opened; else a duplicate. */
function reopen(
  { stream, reopen, flags }: OpenFileOf<'stream'>,
  place: Place,
  bench: Bench,
  share: Op,
): Op[] {
  const [shared, end] = [bench.mark(), bench.mark()];
  const path = reopen === 'controlling' ? '/dev/tty' : `/proc/self/fd/${stream}`;
  const cell = bench.arena.cell();
  return [
    call('ioctl', [stream, TCGETS2, bench.scratch], {
      check: { kind: 'ok', tolerated: ['ENOTTY', 'EIO'], jump: shared },
      text: `ioctl(${stream}, TCGETS2)`,
    }),
    open(bench.arena, path, (flags & REOPENED) | O.NOCTTY | O.CLOEXEC, {
      check: { kind: 'ok', tolerated: ['ENXIO', 'ENOENT', 'EACCES', 'EIO'], jump: shared },
      result: cell,
    }),
    // Lands on place.at already if that is the lowest free number: EINVAL, and it must stay.
    duplicate(cell, place.at, place.closeOnExec, { check: { kind: 'ok', tolerated: ['EINVAL'], jump: end } }),
    close(cell),
    { op: 'jump', to: end },
    { op: 'mark', name: shared },
    share,
    { op: 'mark', name: end },
    control(place.at, 'SETFD', place.closeOnExec ? 1 : 0, place.closeOnExec ? 'FD_CLOEXEC' : '0'),
  ];
}

/**
 * Makes sure that the streams that are needed are there, and that no file opened from now on lands
 * on one of their numbers.
 */
export function planStreams(bench: Bench): Op[] {
  const used = new Map<number, string>();
  bench.table.files.forEach((file, index) => {
    if (file.kind === 'stream' && !used.has(file.stream)) used.set(file.stream, bench.places[index]!.name);
  });
  return [0, 1, 2].flatMap((fd): Op[] => {
    const name = used.get(fd);
    if (name !== undefined) return [control(fd, 'GETFD', 0, '', { label: labelOf(fd, { name }) })];
    const [fill, end] = [bench.mark(), bench.mark()];
    return [
      control(fd, 'GETFD', 0, '', { check: { kind: 'ok', tolerated: ['EBADF'], jump: fill } }),
      { op: 'jump', to: end },
      { op: 'mark', name: fill },
      open(bench.arena, '/dev/null', O.RDWR, { check: { kind: 'none' } }),
      { op: 'mark', name: end },
    ];
  });
}

/** Puts what stands at temporary numbers to 0, 1 and 2; from here on messages may not reach the user. */
export function placeStandard(bench: Bench): Op[] {
  const used = new Set(bench.table.descriptors.map(({ fd }) => fd));
  const ops: Op[] = [];
  const temporaries = new Set<number>();
  bench.places.forEach((place, index) => {
    const file = bench.table.files[index]!;
    for (const { fd, closeOnExec } of place.descriptors) {
      if (fd >= STANDARD) continue;
      if (isOwnStream(file, fd)) {
        if (closeOnExec) ops.push(setCloseOnExec(fd));
        continue;
      }
      ops.push(duplicate(place.at, fd, closeOnExec, { label: `cannot make descriptor ${fd}` }));
      if (place.at > bench.imageFd) temporaries.add(place.at);
    }
  });
  for (const fd of [0, 1, 2]) if (!used.has(fd)) ops.push(close(fd));
  return [...ops, ...[...temporaries].map(close)];
}

/**
 * O_NONBLOCK, where the process had set it on its streams and what is passed in. Other flags belong to whoever opened
 * them, and so does O_NONBLOCK where the process had not set it.
 */
export function planStreamFlags(bench: Bench): Op[] {
  const one = bench.arena.bytes(Uint8Array.of(1, 0, 0, 0));
  return bench.places.flatMap((place, index): Op[] => {
    const file = bench.table.files[index]!;
    const fd = place.descriptors[0]?.fd;
    if (file.kind !== 'stream' && file.kind !== 'external') return [];
    if (fd === undefined || !(file.flags & O.NONBLOCK)) return [];
    return [
      call('ioctl', [fd, FIONBIO, one], { check: { kind: 'none' }, text: `ioctl(${fd}, FIONBIO, [1])` }),
    ];
  });
}
