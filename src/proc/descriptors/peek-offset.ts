/** What waits in a socket whose program peeks at an offset (SO_PEEK_OFF), which a look of ours sets aside for a moment. */
import { peekOffset } from '../../native/peek-all.js';
import type { Entry } from './entries.js';
import type { KindContext } from './kind.js';
import { PassingRefusal, Refusal } from './refusal.js';

/**
 * An empty message that was looked at is not shown at an offset any more: a look of ours would hide it from the program.
 * @throws PassingRefusal where the program peeks at an offset
 */
export function refuseOffset(copy: number): void {
  if (peekOffset(copy) < 0) return;
  throw new PassingRefusal(
    'messages wait in it, and it peeks at an offset (SO_PEEK_OFF), so that a look could hide empty ones',
  );
}

/**
 * In a stream nothing is empty, but another process could peek meanwhile.
 * @throws Refusal where one has it, and it peeks at an offset
 */
export function refuseSharedOffset(entry: Entry, copy: number, context: KindContext): void {
  if (peekOffset(copy) < 0 || !isHeldByOthers(entry, context)) return;
  throw new Refusal(
    'another process has it, too, and it peeks at an offset (SO_PEEK_OFF), which a look would move',
  );
}

/** Whether another process has a socket, as far as that can be seen: what it peeks at would move with a look at an offset. */
export function isHeldByOthers({ link }: Entry, { target }: KindContext): boolean {
  const { held } = target.others.find((other, _, holder) =>
    other === link && holder !== process.pid ? link : null,
  );
  return held.size > 0;
}
