/** What is said to the kernel by netlink(7), and what it answers. */
import { O } from '../../fcntl.js';
import { AF, SOCK } from '../../inet.js';
import type { Arena } from '../arena.js';
import { call, type Extra } from '../calls.js';
import type { Cell, Op } from '../program.js';

/** `linux/netlink.h`: whom it is said to. */
const PROTOCOLS = { ROUTE: 0, SOCK_DIAG: 4, NETFILTER: 12 } as const;
type Netlink = keyof typeof PROTOCOLS;

const MSG_DONTWAIT = 0x40;
/** Room for an answer, in bytes: a table or a socket, or an error with the request. */
export const REPLY = 4096;

/** Opens a socket to one of them. */
export function openNetlink(fd: Cell, to: Netlink, extra: Extra): Op {
  return call('socket', [AF.NETLINK, SOCK.RAW | O.CLOEXEC, PROTOCOLS[to]], {
    ...{ ...extra, result: fd },
    text: `socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_${to})`,
  });
}

/** Sends messages; the first answer, which is there at once, is looked at. */
export function ask(
  fd: Cell,
  to: Netlink,
  messages: Uint8Array,
  arena: Arena,
  look: (reply: bigint) => Op[],
): Op[] {
  const reply = arena.reserve(REPLY);
  return [...exchange(fd, to, arena.bytes(messages), messages.length, reply), ...look(reply)];
}

/** Sends what stands at an address, and takes the first answer. */
export function exchange(fd: Cell, to: Netlink, request: bigint, size: number, reply: bigint): Op[] {
  return [
    call('sendto', [fd, request, size, 0, 0, 0], { text: `sendto(NETLINK_${to}, [${size} bytes])` }),
    call('recvfrom', [fd, reply, REPLY, MSG_DONTWAIT, 0, 0], { text: `recvfrom(NETLINK_${to})` }),
  ];
}
