/** Sockets as the kernel has them. */
import type { KernelMemory } from './memory.js';
import { privateOf } from './objects.js';
import { findPages, type PageAddress } from './pages.js';

/** More than a queue ever has; one that goes in circles ends here. */
const MOST_BUFFERS = 100_000;
/** Of the address of a frag: it is no memory of this machine, but of a device. */
const OF_DEVICE = 1n;

/** Address of the `struct sock` behind a socket of ours. */
export function sockOf(kernel: KernelMemory, fd: number): bigint {
  return kernel.member('socket', privateOf(kernel, fd), 'sk');
}

/** Bits of `sk_userlocks`: what of its address the program has chosen itself (`net/sock.h`). */
export const BIND_LOCK = { ADDRESS: 4, PORT: 8 } as const;

/** What of the address of a socket was chosen by bind(2): bits of {@link BIND_LOCK}. */
export function bindLocks(kernel: KernelMemory, sock: bigint): number {
  return Number(kernel.member('sock', sock, 'sk_userlocks')) & (BIND_LOCK.ADDRESS | BIND_LOCK.PORT);
}

/**
 * Whether a socket has its address by SO_REUSEPORT, even if the option is off by now: it is one of those among which the
 * kernel distributes what comes, or (of TCP, where that begins with listen(2)) its port is one of such sockets alone.
 */
export function sharesByPort(kernel: KernelMemory, sock: bigint, stream: boolean): boolean {
  if (kernel.member('sock', sock, 'sk_reuseport_cb') !== 0n) return true;
  if (!stream) return false;
  const bucket = kernel.member('inet_connection_sock', sock, 'icsk_bind_hash');
  return bucket !== 0n && kernel.member('inet_bind_bucket', bucket, 'fastreuseport') !== 0n;
}

/** How many buffers a socket has that are not sent yet. */
export function sendQueueLength(kernel: KernelMemory, sock: bigint): bigint {
  return kernel.member('sock', sock, 'sk_write_queue.qlen');
}

/**
 * What is put together in a socket of datagrams and not sent yet: of each buffer what follows the header of IP.
 * @throws RangeError for what lies in memory that is not the kernel's own, and may change meanwhile
 */
export function readSendQueue(kernel: KernelMemory, sock: bigint): Buffer[] {
  const head = kernel.place('sock', sock, 'sk_write_queue');
  const parts: Buffer[] = [];
  const addressOf: PageAddress = (page) => findPages(kernel, cacheOf(kernel, sock))(page);
  for (let buffer = kernel.member('sk_buff_head', head, 'next'); buffer !== head; ) {
    if (parts.push(readBuffer(kernel, buffer, addressOf)) > MOST_BUFFERS) {
      throw new RangeError('a queue of the kernel has no end');
    }
    buffer = kernel.member('sk_buff', buffer, 'next');
  }
  return parts;
}

/** The cache from which sockets of its protocol are. */
function cacheOf(kernel: KernelMemory, sock: bigint): bigint {
  const protocol = kernel.member('sock', sock, '__sk_common.skc_prot');
  return kernel.member('proto', protocol, 'slab');
}

/** From the transport header on. */
function readBuffer(kernel: KernelMemory, buffer: bigint, addressOf: PageAddress): Buffer {
  const of = (path: string): bigint => kernel.member('sk_buff', buffer, path);
  const head = of('head');
  const from = of('transport_header');
  // `tail` and `end` are distances from `head`.
  const size = Number(of('tail') - from);
  if (size < 0) throw new RangeError('a buffer ends before it begins');
  const parts = [kernel.read(head + from, size)];
  const info = head + of('end');
  const shared = (path: string): bigint => kernel.member('skb_shared_info', info, path);
  if (shared('flags') !== 0n || shared('frag_list') !== 0n) {
    throw new RangeError('it refers to memory of a file or of the program (splice, MSG_ZEROCOPY)');
  }
  const frags = shared('nr_frags');
  const first = kernel.place('skb_shared_info', info, 'frags');
  const names = kernel.types.has('skb_frag', 'netmem') ? FRAG : FRAG_BEFORE;
  for (let i = 0n; i < frags; i++) {
    const at = first + i * BigInt(kernel.types.sizeOf(names.struct));
    const page = kernel.member(names.struct, at, names.page);
    if (page & OF_DEVICE) throw new RangeError('it refers to memory of a device');
    const offset = kernel.member(names.struct, at, names.offset);
    parts.push(kernel.read(addressOf(page) + offset, Number(kernel.member(names.struct, at, names.size))));
  }
  const bytes = Buffer.concat(parts);
  const length = Number(of('len') - (head + from - of('data')));
  if (bytes.length !== length) throw new RangeError(`a buffer has ${bytes.length} bytes of ${length}`);
  return bytes;
}

/** `skb_frag_t`: a structure of its own since Linux 6.9. */
const FRAG = { struct: 'skb_frag', page: 'netmem', size: 'len', offset: 'offset' } as const;
const FRAG_BEFORE = { struct: 'bio_vec', page: 'bv_page', size: 'bv_len', offset: 'bv_offset' } as const;
