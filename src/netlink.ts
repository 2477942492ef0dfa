/** Messages of netlink(7) as bytes: headers and attributes. */

export const AF_NETLINK = 16;
/** Flags of a request; `linux/netlink.h`. */
export const NLM = { REQUEST: 1, ACK: 4, DUMP: 0x300, CREATE: 0x400, APPEND: 0x800 } as const;
/** Type of a message that carries an errno, 0 among them. */
export const NLMSG_ERROR = 2;
/** `sizeof (struct nlmsghdr)` */
export const NLMSGHDR = 16;
/** Where `struct nlmsghdr` has the type of the message. */
export const NLMSG_TYPE = 4;
/** Where it has the flags. */
export const NLMSG_FLAGS = 6;

const NLA_F_NESTED = 0x8000;

/** Netlink aligns everything to four bytes. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

/** `struct nlmsghdr` and what follows it. */
export function message(type: number, flags: number, ...parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(NLMSGHDR);
  const bytes = Buffer.concat([header, ...parts]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, NLMSG_TYPE);
  bytes.writeUInt16LE(flags, NLMSG_FLAGS);
  return bytes;
}

/** `struct nlattr` with its value. */
export function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(align(4 + value.length));
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

/** An attribute that holds others. */
export function nested(type: number, ...parts: readonly Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(parts));
}

/** A string with its NUL. */
export function stringAttribute(type: number, text: string): Buffer {
  return attribute(type, Buffer.from(`${text}\0`));
}

/** A number in network order, as nfnetlink has them. */
export function wordAttribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return attribute(type, bytes);
}

/** `sizeof (struct nlattr)` */
const NLATTR = 4;

/** The attributes behind the fixed part of a message, by type. */
export function attributesOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + NLATTR <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    found.set(bytes.readUInt16LE(at + 2), bytes.subarray(at + NLATTR, at + length));
    at += align(length);
  }
  return found;
}
