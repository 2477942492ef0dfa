/** POSIX message queues, opened again by name: they must be there, with the attributes that they had. */
import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, type Extra, show, testField } from '../calls.js';
import { openFlagNames } from '../flags.js';
import type { Op, Operand } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, control, seek } from './calls.js';
import type { KindPlanner } from './planner.js';

type Queue = OpenFileOf<'mqueue'>;

/** What mq_open(2) is given again. */
const REOPENED = O.ACCMODE | O.NONBLOCK | O.LARGEFILE;
/** Of `struct mq_attr`. */
const ATTRIBUTES = { size: 64, maxMessages: 8n, messageSize: 16n } as const;

/** Plans a descriptor of a queue. */
export const mqueue: KindPlanner<Queue> = {
  make: (queue, place, { bench }) => {
    const extra = { label: labelOf(queue, place) };
    return [
      ...bench.create(() => open(queue, bench, extra), place.at, place.closeOnExec),
      // The kernel sets it whatever it is given.
      ...(place.closeOnExec ? [] : [control(place.at, 'SETFD', 0, '0', extra)]),
      ...verify(queue, place.at, bench, extra),
      ...(queue.offset > 0n ? [seek(place.at, queue.offset, extra)] : []),
    ];
  },
  check: (queue, place, { bench }) => {
    const extra = { label: labelOf(queue, place) };
    const fd = bench.arena.cell();
    return [open(queue, bench, { ...extra, result: fd }), ...verify(queue, fd, bench, extra), close(fd)];
  },
};

function labelOf({ name: queue }: Queue, { name }: Place): string {
  return `cannot open the message queue /${queue} (${name})`;
}

function open({ name, flags }: Queue, { arena }: Bench, extra: Extra): Op {
  const bits = flags & REOPENED;
  return call('mq_open', [arena.string(name), bits, 0, 0], {
    text: `mq_open("/${name}", ${openFlagNames(bits)})`,
    ...extra,
  });
}

/** A queue of that name that somebody has made since may be another. */
function verify({ maxMessages, messageSize }: Queue, fd: Operand, { arena }: Bench, extra: Extra): Op[] {
  const attributes = arena.reserve(ATTRIBUTES.size);
  const test = (at: bigint, expected: number, what: string): Op =>
    testField(attributes + at, 4, expected, {
      ...extra,
      reason: `${what} is not ${expected} any more`,
      text: `test ${what} is ${expected}`,
    });
  return [
    call('mq_getsetattr', [fd, 0, attributes], { text: `mq_getsetattr(${show(fd)}, NULL)`, ...extra }),
    test(ATTRIBUTES.maxMessages, maxMessages, 'mq_maxmsg'),
    test(ATTRIBUTES.messageSize, messageSize, 'mq_msgsize'),
  ];
}
