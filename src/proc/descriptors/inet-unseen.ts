/** What the kernel keeps of a socket and tells nobody: warnings where a program may have made use of it. */
import { addressText, SO, SOL } from '../../inet.js';
import { getOption, integerOption } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { Entry } from './entries.js';
import type { KindContext } from './kind.js';
import { once } from './once.js';

type Inet = OpenFileOf<'inet'>;

/** Of SOL_IP. */
const IP_MULTICAST = { IF: 32, TTL: 33, LOOP: 34 } as const;

/** The kernel tells IP_MULTICAST_IF by address only: one by number looks like none. */
export function warnOfInterface(
  { fd, link }: Entry,
  copy: number,
  { options, groups, family }: Pick<Inet, 'options' | 'groups' | 'family'>,
  { warnings }: KindContext,
): void {
  const sends = options.some(
    ({ level, option }) => level === SOL.IP && (option === IP_MULTICAST.TTL || option === IP_MULTICAST.LOOP),
  );
  const chosen = getOption(copy, SOL.IP, IP_MULTICAST.IF)?.some((byte) => byte !== 0);
  if (family === 'ipv6' || chosen || (!sends && groups.length === 0)) return;
  warnings.push(
    `descriptor ${fd} (${link}) is used for multicast: an interface that it set by number (IP_MULTICAST_IF) could not be seen and is not carried`,
  );
}

/** A program may decide which of the sockets at one address gets what comes. */
export function warnOfDistribution(
  { fd, link }: Entry,
  copy: number,
  local: Uint8Array,
  context: KindContext,
): void {
  if (integerOption(copy, SO.REUSEPORT) === 0) return;
  const protocol = integerOption(copy, SO.PROTOCOL);
  const address = addressText(local);
  const seen = once(context, `distribution ${protocol} ${address}`, () => ({ count: 0 }));
  // Once for all sockets at the address.
  if (++seen.count !== 2) return;
  context.warnings.push(
    `descriptor ${fd} (${link}) shares ${address} with another (SO_REUSEPORT): a program that distributes what comes (SO_ATTACH_REUSEPORT_CBPF) could not be seen and is not carried`,
  );
}
