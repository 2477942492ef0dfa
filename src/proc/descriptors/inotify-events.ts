/** Events of inotify that were not read. Reading takes them away, so they are looked at where the kernel has them. */
import { textOfBytes } from '../../byte-text.js';
import { IN, isRepeatable, MOST_EVENTS } from '../../inotify.js';
import type { KernelMemory } from '../../kernel/memory.js';
import { listOf } from '../../kernel/objects.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { PassingRefusal } from './refusal.js';
import type { Watch } from './watches.js';

/** What read(2) tells of a mask (`inotify_mask_to_arg`). */
const TOLD = 0xfff | IN.UNMOUNT | IN.Q_OVERFLOW | IN.IGNORED | IN.ISDIR;
/** `INT_MAX` */
const MOST_WD = 0x7fff_ffff;

type Event = OpenFileOf<'inotify'>['events'][number];

/**
 * The events that wait in an inotify of a stopped process, the oldest first. More may come meanwhile.
 * @param group address of its `struct fsnotify_group`
 * @throws PassingRefusal for what cannot be put back
 */
export function unreadEvents(kernel: KernelMemory, group: bigint, watches: readonly Watch[]): Event[] {
  const count = Number(kernel.member('fsnotify_group', group, 'q_len'));
  if (count > MOST_EVENTS) {
    throw new PassingRefusal(`${count} events in it were not read yet; ${MOST_EVENTS} can be put back`);
  }
  const queue = kernel.place('fsnotify_group', group, 'notification_list');
  const base = BigInt(kernel.types.member('inotify_event_info', 'fse').offset);
  const events = listOf(kernel, queue, 'fsnotify_event', 'list').map((entry) =>
    readEvent(kernel, entry - base),
  );
  const odd = events.find(({ mask, name }) => !isRepeatable(mask, name !== ''));
  if (odd) {
    const what = odd.mask & IN.Q_OVERFLOW ? 'that others were lost' : `0x${odd.mask.toString(16)}`;
    throw new PassingRefusal(`an event in it was not read yet that nothing can make again (${what})`);
  }
  if ((events[0] && mayBeHalf(events[0], watches)) || isApart(events)) {
    throw new PassingRefusal(
      'an event in it was not read yet, one of the two of a rename (IN_MOVED_TO), that may belong to one that was',
    );
  }
  return events;
}

function readEvent(kernel: KernelMemory, address: bigint): Event {
  const number = (path: string): number => Number(kernel.member('inotify_event_info', address, path));
  const length = number('name_len');
  const name = kernel.read(kernel.place('inotify_event_info', address, 'name'), length);
  return {
    wd: number('wd') | 0,
    mask: number('mask') & TOLD,
    cookie: number('sync_cookie'),
    name: textOfBytes(name),
  };
}

/** The first of two events of one rename is read before the second: that would need the number that it had. */
function mayBeHalf({ mask }: Event, watches: readonly Watch[]): boolean {
  return (mask & IN.MOVED_TO) !== 0 && watches.some((watch) => watch.mask & IN.MOVED_FROM);
}

/** Whether something lies between the two events of a rename, which then cannot be made together. */
function isApart(events: readonly Event[]): boolean {
  return events.some(
    ({ mask, cookie }, i) =>
      mask & IN.MOVED_FROM &&
      events.some((other, j) => j > i + 1 && other.mask & IN.MOVED_TO && other.cookie === cookie),
  );
}

/** The number from which on the next watch gets its own; `null` where the kernel has another notion of it. */
export function nextNumber(kernel: KernelMemory, group: bigint): number | null {
  const path = 'inotify_data.idr.idr_next';
  if (!kernel.types.has('fsnotify_group', path)) return null;
  const next = Number(kernel.member('fsnotify_group', group, path));
  return next >= 1 && next <= MOST_WD ? next : null;
}
