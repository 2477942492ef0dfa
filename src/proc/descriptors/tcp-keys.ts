/**
 * Keys of TCP MD5 signatures (TCP_MD5SIG). Of a socket that listens or is connected sock_diag(7) tells all of them but
 * the routing domain (VRF); of others it tells none, but the memory is counted that they take.
 */
import { type Making, SOL } from '../../inet.js';
import { hasRoutingDomains } from '../../native/routing-domains.js';
import { optionMemory } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { TcpKey } from '../../snapshot/tcp-key.js';
import { keyName } from '../../tcp-key.js';
import { type Entry, nameOf } from './entries.js';
import type { Fresh } from './inet-options.js';
import { factsOf } from './inet-tables.js';
import type { KindContext } from './kind.js';
import { once } from './once.js';
import { PassingRefusal, Refusal } from './refusal.js';

/** What else takes memory of that kind, at the level of IPv6: IPV6_HOPOPTS, RTHDRDSTOPTS, RTHDR, DSTOPTS. */
const HEADERS: readonly number[] = [54, 55, 57, 59];

/** What is known of a socket. */
export interface KeyContext extends Pick<OpenFileOf<'inet'>, 'options' | 'filter'> {
  readonly making: Making;
  /** One like it. */
  readonly fresh: Fresh;
  /** States to ask for. */
  readonly states: number;
  /** It is in a state of which keys are told, to CAP_NET_ADMIN. */
  readonly told: boolean;
}

/**
 * The keys of a TCP socket, the latest first.
 * @throws Refusal for those that are not told of in full
 */
export function captureKeys(entry: Entry, copy: number, about: KeyContext, context: KindContext): TcpKey[] {
  const { making, states, told } = about;
  const facts = factsOf(entry, making, states, context);
  // The list has changed meanwhile, or ends before a socket whose keys are too many for a message.
  if (!facts && told && optionMemory(copy) > about.fresh.optionMemory) {
    throw new PassingRefusal('sock_diag(7) leaves it out, as with hundreds of keys (TCP_MD5SIG)');
  }
  const keys = [...(facts?.keys ?? [])];
  if (keys.length === 0) noteUntold(entry, copy, about, context);
  else refuseDomains(keys, context);
  return keys;
}

/** Whether a key is bound to a routing domain is not told. */
function refuseDomains(keys: readonly TcpKey[], context: KindContext): void {
  const names = keys.map(keyName);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new Refusal(
      `it has two keys for TCP_MD5SIG for ${twice}, and which of them is bound to a routing domain (VRF) is not told`,
    );
  }
  if (once(context, 'routing domains', hasRoutingDomains)) {
    throw new Refusal(
      'it has keys for TCP_MD5SIG, and whether they are bound to a routing domain (VRF) of this host is not told',
    );
  }
}

/** Says so where there seem to be keys of which nobody tells. */
function noteUntold(
  entry: Entry,
  copy: number,
  { fresh, options, filter, told }: KeyContext,
  { warnings }: KindContext,
): void {
  const known =
    filter !== null || options.some(({ level, option }) => level === SOL.IPV6 && HEADERS.includes(option));
  if (known || optionMemory(copy) <= fresh.optionMemory) return;
  if (!told) {
    throw new Refusal(
      'it seems to have keys (TCP_MD5SIG), which the kernel does not tell before it listens or connects',
    );
  }
  warnings.push(
    `${nameOf(entry)} (TCP, ${entry.link}) may have keys of TCP AO, or of TCP MD5, which are told to CAP_NET_ADMIN alone: they are not carried`,
  );
}
