/**
 * A datagram that a program is putting together (UDP_CORK, MSG_MORE). The kernel shows it nowhere; it is read in its
 * memory. With it is kept what was decided by its first piece, from the route to the time to live: it is carried
 * where one that is put together now, as the thaw does it, would be the same.
 */
import { AF, type Making, putTogether, SO, SOL, takeApart } from '../../inet.js';
import { BtfError } from '../../kernel/btf.js';
import { KernelFault, type KernelMemory } from '../../kernel/memory.js';
import { openKernel } from '../../kernel/open.js';
import { PageError } from '../../kernel/pages.js';
import { readSendQueue, sendQueueLength, sockOf } from '../../kernel/sockets.js';
import { withCorked } from '../../native/corked.js';
import { getOption } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import { type Fresh, makeInet } from './inet-options.js';
import { refuseShared } from './inet-queue.js';
import type { KindContext } from './kind.js';
import { PassingRefusal, Refusal } from './refusal.js';

type Inet = OpenFileOf<'inet'>;
type Corked = NonNullable<Inet['corked']>;

const UNSENT = 'it holds data that is not sent yet (UDP_CORK, MSG_MORE, or a busy interface)';
/** `SK_MEMINFO_WMEM_ALLOC`. */
const NOT_SENT = 2;
const UDP_HEADER = 8;
const FLOW = 'cork.fl.u.__fl_common.flowic_';
/**
 * What the first piece has decided, in `struct inet_sock` (of two names the one that this kernel has), and what that is.
 * The rest is decided when the datagram is sent.
 */
const DECIDED = [
  [['cork.base.flags'], 'its IP options'],
  [['cork.base.tx_flags'], 'its time stamps'],
  [['cork.base.ttl'], 'its time to live (IP_TTL)'],
  [['cork.base.tos'], 'its type of service (IP_TOS)'],
  [['cork.base.priority'], 'its priority (SO_PRIORITY)'],
  [['cork.base.gso_size'], 'the size of its segments (UDP_SEGMENT)'],
  [['cork.base.transmit_time'], 'the time to send it (SO_TXTIME)'],
  [['cork.base.mark'], 'its mark (SO_MARK)'],
  [[`${FLOW}oif`], 'its interface'],
  [[`${FLOW}iif`], 'its interface'],
  [[`${FLOW}mark`], 'its mark (SO_MARK)'],
  [[`${FLOW}dscp`, `${FLOW}tos`], 'its type of service (IP_TOS)'],
  [[`${FLOW}scope`], 'its route (SO_DONTROUTE)'],
  [[`${FLOW}flags`], 'its source (IP_TRANSPARENT)'],
] as const;
/** What depends on the protocol below: where addresses and ports are, and more that is decided. */
const BELOW = {
  [AF.INET]: { flow: 'cork.fl.u.ip4', host: 4, label: false },
  [AF.INET6]: { flow: 'cork.fl.u.ip6', host: 16, label: true },
} as const;
/** The same in `struct ipv6_pinfo`. */
const DECIDED_IPV6 = [
  ['cork.hop_limit', 'its hop limit (IPV6_UNICAST_HOPS)'],
  ['cork.tclass', 'its traffic class (IPV6_TCLASS)'],
  ['cork.dontfrag', 'whether it may be in fragments (IPV6_DONTFRAG)'],
] as const;

/** A datagram as the kernel has it. */
interface Seen {
  readonly content: Buffer;
  /** `sockaddr` of the family of the socket. */
  readonly to: Uint8Array;
  readonly decided: ReadonlyMap<string, string>;
}

/**
 * Reads the datagram that is being put together in a socket; `null` where there is none.
 * @param socket what was captured of it so far
 * @throws Refusal
 */
export function captureCorked(
  entry: Entry,
  copy: number,
  socket: Making & Pick<Inet, 'local' | 'peer'>,
  fresh: Fresh,
  context: KindContext,
): Corked | null {
  if (Buffer.from(getOption(copy, SOL.SOCKET, SO.MEMINFO)!).readUInt32LE(4 * NOT_SENT) === 0) return null;
  const kernel = openKernel();
  if (typeof kernel === 'string') {
    throw new PassingRefusal(`${UNSENT}, and what it is cannot be seen: ${kernel}`);
  }
  try {
    // What the interface has is on its way, whatever becomes of the process.
    if (sendQueueLength(kernel, sockOf(kernel, copy)) === 0n) return null;
    if (!/^udp/.test(socket.protocol)) {
      throw new Refusal('it holds a packet that is not sent yet (MSG_MORE), which is carried of UDP only');
    }
    refuseShared(entry, context);
    return carried(kernel, copy, socket, fresh);
  } catch (error) {
    if (error instanceof BtfError || error instanceof KernelFault || error instanceof PageError) {
      throw new Refusal(`${UNSENT}, and what it is cannot be seen: ${error.message}`);
    }
    if (error instanceof RangeError) throw new Refusal(`${UNSENT}: ${error.message}`);
    throw error;
  }
}

function carried(
  kernel: KernelMemory,
  copy: number,
  socket: Making & Pick<Inet, 'local' | 'peer'>,
  fresh: Fresh,
): Corked {
  const { content, to: address, decided } = look(kernel, copy);
  const { local, peer } = socket;
  const to = peer && isSame(peer, address) ? null : address;
  const host = local && takeApart(local).host;
  const like = {
    ...{ like: copy, options: fresh.options, peer, to, content },
    // Any port will do.
    local: local && host!.some((byte) => byte !== 0) ? withoutPort(local) : null,
  };
  try {
    const again = withCorked(makeInet(socket), like, (fd) => look(kernel, fd));
    if (!again.content.equals(content)) throw new Refusal(`${UNSENT}, which changes while it is looked at`);
    for (const [what, value] of again.decided) {
      if (decided.get(what) !== value) {
        throw new Refusal(
          `of the datagram that it is putting together (UDP_CORK, MSG_MORE) ${what} was chosen for this one alone, or would be another now`,
        );
      }
    }
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw new Refusal(
      `the datagram that it is putting together (UDP_CORK, MSG_MORE) cannot be made again (${errno})`,
    );
  }
  return { to, content: Uint8Array.from(content) };
}

/** A datagram in a socket of UDP, by a descriptor of ours. */
function look(kernel: KernelMemory, fd: number): Seen {
  const sock = sockOf(kernel, fd);
  const family = Number(kernel.member('udp_sock', sock, 'pending'));
  if (family !== AF.INET && family !== AF.INET6) throw new RangeError(`it is of family ${family}`);
  const bytes = Buffer.concat(readSendQueue(kernel, sock));
  const length = Number(kernel.member('udp_sock', sock, 'len'));
  if (bytes.length !== length) throw new RangeError(`there are ${bytes.length} of ${length} bytes`);
  const { flow, host, label } = BELOW[family];
  const number = (path: string): string => String(kernel.member('inet_sock', sock, path));
  const words = (path: string, size: number): Buffer =>
    kernel.read(kernel.place('inet_sock', sock, path), size);
  if (number(`${flow}.uli.ports.sport`) !== number('inet_sport')) {
    throw new RangeError('it was begun when the socket had another port');
  }
  if (kernel.member('inet_sock', sock, 'cork.base.opt') !== 0n) throw new RangeError('it has IP options');
  const decided = new Map<string, string>();
  const add = (what: string, value: string): void => {
    decided.set(what, `${decided.get(what) ?? ''} ${value}`);
  };
  for (const [paths, what] of DECIDED) {
    const path = paths.find((one) => kernel.types.has('inet_sock', one)) ?? paths[0];
    add(what, number(path));
  }
  add('the address that it comes from', words(`${flow}.saddr`, host).toString('hex'));
  if (family === AF.INET6) {
    const more = kernel.member('inet_sock', sock, 'pinet6');
    if (kernel.member('ipv6_pinfo', more, 'cork.opt') !== 0n) throw new RangeError('it has IP options');
    for (const [path, what] of DECIDED_IPV6) add(what, String(kernel.member('ipv6_pinfo', more, path)));
  }
  if (label) add('its flow label', number(`${flow}.flowlabel`));
  const port = words(`${flow}.uli.ports.dport`, 2).readUInt16BE();
  return {
    content: bytes.subarray(UDP_HEADER),
    to: putTogether(ofSocket(kernel, sock, words(`${flow}.daddr`, host)), port),
    decided,
  };
}

/** The address as the socket takes it: one of IPv6 has others for hosts of IPv4. */
function ofSocket(kernel: KernelMemory, sock: bigint, host: Uint8Array): Uint8Array {
  const family = Number(kernel.member('sock', sock, '__sk_common.skc_family'));
  if (family === AF.INET || host.length === 16) return host;
  return Uint8Array.of(...new Uint8Array(10), 0xff, 0xff, ...host);
}

/** Whether two addresses are the same but for the interface, which the socket has from its peer. */
function isSame(peer: Uint8Array, address: Uint8Array): boolean {
  const [one, other] = [takeApart(peer), takeApart(address)];
  return one.port === other.port && Buffer.compare(one.host, other.host) === 0;
}

function withoutPort(address: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(address);
  copy.set([0, 0], 2);
  return copy;
}
