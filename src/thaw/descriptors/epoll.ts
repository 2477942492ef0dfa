/** epoll(7) sets. */

import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, flagNames, tolerate } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, duplicate, write } from './calls.js';
import type { KindPlanner, Tools } from './planner.js';

const EPOLL_CTL_ADD = 1;
const EVENTS = {
  EPOLLIN: 0x1,
  EPOLLPRI: 0x2,
  EPOLLOUT: 0x4,
  EPOLLERR: 0x8,
  EPOLLHUP: 0x10,
  EPOLLRDHUP: 0x2000,
  EPOLLEXCLUSIVE: 1 << 28,
  EPOLLWAKEUP: 1 << 29,
  EPOLLONESHOT: 1 << 30,
  EPOLLET: 1 << 31,
};
/** Input flags: what is left of the events of a one-shot member that has fired. */
const INPUT_FLAGS = EVENTS.EPOLLEXCLUSIVE | EVENTS.EPOLLWAKEUP | EVENTS.EPOLLONESHOT | EVENTS.EPOLLET;

type Member = OpenFileOf<'epoll'>['members'][number];

/** Plans an epoll set; its members are added once all descriptors are in their places. */
export const epoll: KindPlanner<OpenFileOf<'epoll'>> = {
  make: (_, place, { bench }) =>
    bench.create(
      (closeOnExec) =>
        call('epoll_create1', [closeOnExec ? O.CLOEXEC : 0], {
          label: `cannot make an epoll set (${place.name})`,
          text: `epoll_create1(${closeOnExec ? 'EPOLL_CLOEXEC' : '0'})`,
        }),
      place.at,
      place.closeOnExec,
    ),
  connect: ({ members }, place, tools) =>
    // While nothing else is in the set, the event of a member that has to fire is the only one.
    [...members.filter(hasFired), ...members.filter((member) => !hasFired(member))].flatMap((member) =>
      underItsNumber(member, tools, addMember(member, place, tools)),
    ),
};

/** Sets in an order in which those inside others come first. */
export function innerFirst(files: Bench['table']['files']): number[] {
  const order: number[] = [];
  const seen = new Set<number>();
  const visit = (index: number): void => {
    const file = files[index];
    if (file?.kind !== 'epoll' || seen.has(index)) return;
    seen.add(index);
    for (const member of file.members) visit(member.file);
    order.push(index);
  };
  files.forEach((_, index) => {
    visit(index);
  });
  return order;
}

function hasFired({ events }: Member): boolean {
  return (events & ~INPUT_FLAGS) === 0 && (events & EVENTS.EPOLLONESHOT) !== 0;
}

/** Sees to it that the number under which a file is added means that file for as long as `add` takes. */
function underItsNumber({ fd, file }: Member, { bench }: Tools, add: Op[]): Op[] {
  if (bench.fileAt(fd) === file) return add;
  const borrow = duplicate(bench.places[file]!.at, fd, false);
  if (!bench.isOpen(fd)) return [borrow, ...add, close(fd)];
  const aside = bench.temporary();
  return [
    duplicate(fd, aside, true),
    borrow,
    ...add,
    duplicate(aside, fd, bench.closeOnExecOf(fd)),
    close(aside),
  ];
}

function addMember(member: Member, place: Place, tools: Tools): Op[] {
  const watched = tools.bench.table.files[member.file]!;
  const label = `cannot watch descriptor ${member.fd} in the epoll set (${place.name})`;
  if (!hasFired(member)) {
    // What the user put in its place may be of a kind that is always ready, and cannot be watched.
    const chosen = watched.kind === 'external' || (watched.kind === 'file' && watched.type === 'chosen');
    return [control(member, member.events, place, label, tools.bench, chosen)];
  }
  switch (watched.kind) {
    case 'eventfd':
    case 'unix': // Nothing has been sent yet: it can be written to.
      return fire(member, place, label, tools.bench);
    case 'pipe': {
      const { reader, writer } = tools.pipes[watched.pipe]!;
      // The pipe is still empty: its write end is ready, its read end is with a byte in it.
      if (watched.end === 'write') return fire(member, place, label, tools.bench);
      return [
        write(tools.bench.arena, writer, Uint8Array.of(0), { label }),
        ...fire(member, place, label, tools.bench),
        call('read', [reader, tools.bench.scratch, 1], { label, check: { kind: 'equal', expected: 1 } }),
      ];
    }
    case 'inet':
      // Of these all are ready but those that listen: they can be written to, or are closed.
      if (watched.backlog === null) return fire(member, place, label, tools.bench);
      return [control(member, member.events, place, label, tools.bench, false)];
    case 'pidfd':
      // The end of a process is told for good.
      if (watched.ended) return fire(member, place, label, tools.bench);
      return [control(member, member.events, place, label, tools.bench, false)];
    default:
      // Whether it is ready is not ours to say. The kernel adds EPOLLERR and EPOLLHUP.
      return [control(member, member.events, place, label, tools.bench, false)];
  }
}

/**
 * A one-shot member that has fired is dead to all events, EPOLLERR and EPOLLHUP among them, until
 * it is armed again. epoll_ctl(2) cannot make such a one: it has to fire.
 */
function fire(member: Member, place: Place, label: string, bench: Bench): Op[] {
  return [
    control(member, member.events | EVENTS.EPOLLIN | EVENTS.EPOLLOUT, place, label, bench, false),
    call('epoll_wait', [place.at, bench.scratch, 1, 0], { label, check: { kind: 'equal', expected: 1 } }),
  ];
}

function control(
  { fd, data }: Member,
  events: number,
  { at }: Place,
  label: string,
  bench: Bench,
  mayRefuse: boolean,
): Op {
  // struct epoll_event is packed on x86-64.
  const event = Buffer.alloc(12);
  event.writeUInt32LE(events >>> 0, 0);
  event.writeBigUInt64LE(data, 4);
  return call('epoll_ctl', [at, EPOLL_CTL_ADD, fd, bench.arena.bytes(event)], {
    label,
    ...(mayRefuse ? { check: tolerate('EPERM') } : {}),
    text: `epoll_ctl(${at}, EPOLL_CTL_ADD, ${fd}, {${flagNames(events, EVENTS, '0')}, 0x${data.toString(16)}})`,
  });
}
