/** Packet sockets, packet(7): what capture and thaw know of them. */

/** The family of packet sockets. */
export const AF_PACKET = 17;
/** The level of their options. */
export const SOL_PACKET = 263;

/** Options that are more than a value; `linux/if_packet.h`. */
export const PACKET = { ADD_MEMBERSHIP: 1, RX_RING: 5, COPY_THRESH: 7, VERSION: 10, FANOUT: 18 } as const;

/** How a fanout group distributes packets: the third byte of PACKET_FANOUT. */
export const FANOUT = { CBPF: 6, EBPF: 7 } as const;

/** The type of a fanout group. @param fanout as getsockopt(2) tells it: id, type, flags */
export function fanoutType(fanout: number): number {
  return (fanout >>> 16) & 0xff;
}

/** The number that its members know a fanout group by. */
export function fanoutId(fanout: number): number {
  return fanout & 0xffff;
}

/** Longest hardware address, in bytes: `MAX_ADDR_LEN`. */
export const MOST_ADDRESS = 32;
/** How often something is asked of an interface, at most: each time is an operation of the thaw. */
export const MOST_MEMBERSHIPS = 1000;
/** `struct sockaddr_ll`: its size, and where protocol (in the network's order) and number of the interface stand. */
export const LINK_ADDRESS = { size: 20, protocol: 2, interface: 4 } as const;
