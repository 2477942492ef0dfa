/** The number that signals of F_SETSIG bear: that of the descriptor by which they were asked for. */
import { O } from '../../fcntl.js';
import { type SignalSource, signalNumber } from '../../kernel/fasync.js';
import { lookInto } from '../../kernel/open.js';
import { NUMBERED_SIGNALS } from '../../snapshot/in-flight.js';
import { parseLockLines } from './fdinfo.js';
import type { Description, KindContext, UnlockedFile } from './kind.js';
import { leaseOf } from './locks.js';
import { Refusal } from './refusal.js';

/** Where the kernel keeps it. */
const SOURCES: Readonly<Partial<Record<UnlockedFile['kind'], SignalSource>>> = {
  ...{ inet: 'socket', unix: 'socket', netlink: 'socket', packet: 'socket', pipe: 'pipe' },
  ...{ 'pty-master': 'terminal', 'pty-slave': 'terminal', inotify: 'inotify' },
};
/** These are the streams of the image while what is on its way is made. */
const STREAMS = 3;

/**
 * The number; `undefined` where it is that of the only descriptor, or none is borne.
 * @throws Refusal where it cannot be told, or is another's by now
 */
export function signalNumberOf(
  { entries }: Description,
  signal: number,
  { kind }: UnlockedFile,
  { target, withCopy }: KindContext,
): number | undefined {
  const { fd, flight, info } = entries[0]!;
  const isLease = leaseOf(info.text) !== undefined;
  if (signal === 0 || !(isLease || info.flags & O.ASYNC)) return undefined;
  const isOnly = entries.length === 1 && !flight;
  const source = isLease ? 'lease' : SOURCES[kind];
  const found = source === undefined ? null : withCopy(fd, (copy) => look(copy, source));
  if (typeof found !== 'number') {
    if (isOnly) return undefined;
    throw new Refusal(found === null ? NUMBERED_SIGNALS : `${NUMBERED_SIGNALS}: ${found}`, false);
  }
  if (entries.some((one) => one.fd === found)) return isOnly ? undefined : found;
  const isLocked = parseLockLines(info.text).some(({ type }) => type === 'posix');
  if (found < STREAMS || target.entry(found) || isLocked) {
    throw new Refusal(
      `its signals (F_SETSIG) bear number ${found}, by which they were asked for and which is not its own any more`,
      false,
    );
  }
  return found;
}

/** The number; or why it cannot be seen, if that can be told. */
function look(copy: number, source: SignalSource): number | string | null {
  return lookInto<number | string | null>(
    (kernel) => signalNumber(kernel, copy, source),
    (why) => why,
  );
}
