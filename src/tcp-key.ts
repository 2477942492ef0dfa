/** Keys of TCP MD5 signatures: `linux/tcp.h`. */
import { hostText, putTogether } from './inet.js';
import type { TcpKey } from './snapshot/tcp-key.js';

/** `TCP_MD5SIG_MAXKEYLEN` */
export const LONGEST_KEY = 80;
/** `tcpm_flags` of TCP_MD5SIG_EXT: what else the structure tells. */
const FLAG = { PREFIX: 1, IFINDEX: 2 } as const;
/** `sizeof (struct __kernel_sockaddr_storage)` */
const STORAGE = 128;

/** `struct tcp_md5sig` for TCP_MD5SIG_EXT. @param family of the socket */
export function md5Signature({ host, prefix, key }: TcpKey, family: 'ipv4' | 'ipv6'): Uint8Array {
  const address = putTogether(family === 'ipv6' ? mapped(host) : host, 0);
  return structure(address, { flags: FLAG.PREFIX, prefix, device: 0 }, key);
}

/** One that is good for packets of a routing domain (VRF) only. @param device number of the interface that stands for it */
export function md5SignatureWithin(device: number): Uint8Array {
  const address = putTogether(Uint8Array.of(127, 0, 0, 1), 0);
  return structure(address, { flags: FLAG.IFINDEX, prefix: 0, device }, Uint8Array.of(1));
}

function structure(
  address: Uint8Array,
  { flags, prefix, device }: { flags: number; prefix: number; device: number },
  key: Uint8Array,
): Uint8Array {
  const signature = Buffer.alloc(STORAGE + 8 + LONGEST_KEY);
  signature.set(address, 0);
  signature.writeUInt8(flags, STORAGE);
  signature.writeUInt8(prefix, STORAGE + 1);
  signature.writeUInt16LE(key.length, STORAGE + 2);
  signature.writeInt32LE(device, STORAGE + 4);
  signature.set(key, STORAGE + 8);
  return signature;
}

/** The address that IPv6 has for an IPv4 host. */
function mapped(host: Uint8Array): Uint8Array {
  return host.length === 16 ? host : Uint8Array.of(...new Uint8Array(10), 0xff, 0xff, ...host);
}

/** `127.0.0.0/8`, for messages. */
export function keyName({ host, prefix }: TcpKey): string {
  return `${hostText(host)}/${prefix}`;
}

/** The key that the kernel uses with a host: of those that match the longest prefix, or the latest. */
export function keyFor(keys: readonly TcpKey[], host: Uint8Array): TcpKey | undefined {
  const matching = keys.filter((key) => key.host.length === host.length && matches(key, host));
  return matching.sort((a, b) => b.prefix - a.prefix)[0];
}

function matches({ host, prefix }: TcpKey, other: Uint8Array): boolean {
  return host.every((byte, at) => {
    const bits = Math.min(8, Math.max(0, prefix - at * 8));
    return ((byte ^ other[at]!) & (0xff00 >> bits) & 0xff) === 0;
  });
}
