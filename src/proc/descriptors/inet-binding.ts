/** How a socket has come by its address: of that the kernel tells little, and options may have been changed since. */
import { addressText, isIpv4, type Making, SO, SOL, takeApart } from '../../inet.js';
import { lookInto, openKernel } from '../../kernel/open.js';
import { BIND_LOCK, bindLocks, sharesByPort } from '../../kernel/sockets.js';
import { getOption, integerOption } from '../../native/sockets.js';
import { tryAddress } from '../../native/trial-address.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { type Alike, Ports, type Sharer } from '../../snapshot/ports.js';
import type { Entry } from './entries.js';
import type { KindContext } from './kind.js';
import { once } from './once.js';

type Inet = OpenFileOf<'inet'>;
type Binding = Pick<Inet, 'switchedOff' | 'chosen'>;
type Ends = Pick<Inet, 'local' | 'peer'>;

/** IP_FREEBIND, IP_TRANSPARENT, and the like of IPv6. */
const FOREIGN = [
  { level: SOL.IP, option: 15 },
  { level: SOL.IP, option: 19 },
  { level: SOL.IPV6, option: 78 },
  { level: SOL.IPV6, option: 75 },
] as const;
const IPV6_V6ONLY = 26;

/**
 * Finds out how a socket that is bound or connected has come by its address.
 * @param copy a duplicate of it
 * @param sock address of its `struct sock`; `null` where the kernel shows nothing
 * @param ends its addresses
 */
export function captureBinding(
  copy: number,
  sock: bigint | null,
  making: Making,
  { local, peer }: Ends,
): Binding {
  const switchedOff: Inet['switchedOff'] = [];
  const device = getOption(copy, SOL.SOCKET, SO.BINDTODEVICE);
  if (local && isForeign(copy, local, device)) {
    // To connect from an address of another host takes more than to be bound to it.
    switchedOff.push(peer && isIpv4(local) ? 'transparent' : 'freeBind');
  }
  if (peer && integerOption(copy, SO.BROADCAST) === 0 && isIpv4(peer)) {
    if (tryAddress('connect', peer, device) === 'EACCES') switchedOff.push('broadcast');
  }
  if (!local) return { switchedOff, chosen: [] };
  const stream = making.protocol === 'tcp' || making.protocol === 'mptcp';
  if (integerOption(copy, SO.REUSEPORT) === 0 && isOnePort(sock, stream)) switchedOff.push('reusePort');
  return { switchedOff, chosen: stream ? [] : chosenOf(copy, sock, making, local, peer) };
}

/** What it takes to find the local address of a connection that is kept: see {@link hasForgottenFour}. */
export function chosenOfConnection(copy: number, making: Making, local: Uint8Array): Inet['chosen'] {
  return hasForgottenFour(copy, making, local) ? ['address'] : [];
}

/** Whether it has an address that is not this host's, and no option by which it could be bound to that. */
function isForeign(copy: number, local: Uint8Array, device: Uint8Array | null): boolean {
  const { host } = takeApart(local);
  if (host.every((byte) => byte === 0)) return false;
  const may = FOREIGN.some(({ level, option }) => getOption(copy, level, option)?.some((byte) => byte !== 0));
  return !may && tryAddress('bind', local, device) === 'EADDRNOTAVAIL';
}

/** Whether it shares its port by SO_REUSEPORT, which is off by now; `false` where nobody tells. */
function isOnePort(sock: bigint | null, stream: boolean): boolean {
  if (sock === null) return false;
  return lookInto(
    (kernel) => sharesByPort(kernel, sock, stream),
    () => false,
  );
}

/** Sockets of datagrams lose by connect(2) to nothing what bind(2) has not given them. */
function chosenOf(
  copy: number,
  sock: bigint | null,
  making: Making,
  local: Uint8Array,
  peer: Uint8Array | null,
): Inet['chosen'] {
  // Raw ones have no such marks.
  if (making.protocol === 'raw') return [];
  const { host } = takeApart(local);
  const has = peer !== null && host.some((byte) => byte !== 0);
  const locks = lookInto<number | null>(
    (kernel) => (sock === null ? null : bindLocks(kernel, sock)),
    () => null,
  );
  const address = locks === null ? hasForgottenFour(copy, making, local) : !(locks & BIND_LOCK.ADDRESS);
  const port = locks !== null && !(locks & BIND_LOCK.PORT) && making.protocol !== 'ping';
  return [...(has && address ? ['address' as const] : []), ...(port ? ['port' as const] : [])];
}

/**
 * Whether a socket takes part in IPv4 as well as far as its option says, while its address is one of IPv6 alone. bind(2) to
 * such an address would have switched that off: so it has it by connect(2), or by accepting a connection.
 */
function hasForgottenFour(copy: number, { family }: Making, local: Uint8Array): boolean {
  if (family !== 'ipv6' || isIpv4(local) || takeApart(local).host.every((byte) => byte === 0)) return false;
  return getOption(copy, SOL.IPV6, IPV6_V6ONLY)?.every((byte) => byte === 0) ?? false;
}

/**
 * Warns where sockets share an address by an option that is off by now, and nobody tells which it was: datagrams may go to
 * another of them then.
 */
export function warnOfSharing({ fd, link }: Entry, file: Sharer, context: KindContext): void {
  if (file.local === null || typeof openKernel() !== 'string') return;
  const ports = once(context, 'ports of datagrams', () => new Ports());
  const alike = ports.add(file, fd);
  if (alike === null || !hasSharer(ports, alike)) return;
  context.warnings.push(
    `descriptor ${fd} (${link}) shares ${addressText(file.local)} with another, and what let them (SO_REUSEADDR or SO_REUSEPORT) was switched off since: it is taken for SO_REUSEADDR, as only root may see it in the kernel`,
  );
}

function hasSharer(ports: Ports, alike: Alike): boolean {
  for (const { how } of ports.sharing(alike)) {
    if (how === 'reuseAddress') return true;
  }
  return false;
}
