/** What the kernel keeps of a socket and tells nobody: warnings where a program may have made use of it. */
import { addressText, SO, SOL } from '../../inet.js';
import type { KernelMemory } from '../../kernel/memory.js';
import { lookInto } from '../../kernel/open.js';
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

/** What a program has set that no call tells, by the option, and where the kernel keeps it: all zeros if it has not. */
const HIDDEN = [
  { option: 'IPV6_PKTINFO', struct: 'ipv6_pinfo', path: 'sticky_pktinfo' },
  { option: 'IPV6_MTU', struct: 'ipv6_pinfo', path: 'frag_size' },
  { option: 'IPV6_JOIN_ANYCAST', struct: 'ipv6_pinfo', path: 'ipv6_ac_list' },
  { option: 'IPV6_FLOWLABEL_MGR', struct: 'ipv6_pinfo', path: 'ipv6_fl_list' },
  // Newer kernels have it here.
  { option: 'IPV6_FLOWLABEL_MGR', struct: 'inet_sock', path: 'ipv6_fl_list' },
  { option: 'IP_XFRM_POLICY', struct: 'sock', path: 'sk_policy' },
] as const;

/**
 * Of that only the kernel's memory shows whether a program has made use of it.
 * @param sock address of its `struct sock`; `null` where the kernel shows nothing
 */
export function warnOfHidden(
  { fd, link }: Entry,
  sock: bigint | null,
  { family }: Pick<Inet, 'family'>,
  { warnings }: KindContext,
): void {
  if (sock === null) return;
  const found = lookInto(
    (kernel) => {
      const six = family === 'ipv6' ? kernel.member('inet_sock', sock, 'pinet6') : null;
      const places = { sock, inet_sock: six === null ? null : sock, ipv6_pinfo: six };
      return HIDDEN.filter(({ struct, path }) => {
        const at = places[struct];
        return at !== null && kernel.types.has(struct, path) && isSet(kernel, struct, at, path);
      });
    },
    () => [],
  );
  if (found.length === 0) return;
  const options = found.map(({ option }) => option).join(', ');
  warnings.push(`descriptor ${fd} (${link}): ${options}, which it has set, cannot be carried`);
}

function isSet(kernel: KernelMemory, struct: string, at: bigint, path: string): boolean {
  const { size } = kernel.types.member(struct, path);
  return kernel.read(kernel.place(struct, at, path), size).some((byte) => byte !== 0);
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
