/** What a program is told of a datagram beside its sender: control messages, as far as they can be brought about. */
import { networkInterfaces } from 'node:os';
import { addressText, isLinkLocal, onWire, putTogether, SOL } from '../../inet.js';
import type { Message } from '../../native/peek-all.js';
import type { Datagram } from '../../snapshot/datagram.js';
import { Refusal } from './refusal.js';

/** `struct cmsghdr`: length, level, type. */
const CMSGHDR = 16;
const MSG_CTRUNC = 8;
const IP = { TOS: 1, TTL: 2, PKTINFO: 8 } as const;
const IPV6 = { PKTINFO: 50, HOPLIMIT: 52, TCLASS: 67 } as const;
/** Of SOL_SOCKET, what begins anew: SO_TIMESTAMP, -NS and -ING, old and new, and SO_RXQ_OVFL. */
const ANEW = new Set([29, 35, 37, 40, 63, 64, 65]);
/** The kernel's number of the loopback interface, in every network namespace. */
const LOOPBACK_INDEX = 1;
/** The first byte of addresses of many hosts. */
const MANY = { ipv4: 224, ipv6: 0xff } as const;

type Told = Pick<Datagram, 'destination' | 'marked' | 'hops' | 'service'>;
/** The name of an interface by its number. */
type NameOf = (index: number) => string;

/** Reads the control messages of a datagram. @throws Refusal for what cannot be told again */
export function readControl({ control, header }: Message, nameOf: NameOf): Told {
  if (Number(header[6]!) & MSG_CTRUNC) throw new Refusal('more is told of them than can be looked at');
  const told: Told = { destination: null, marked: false, hops: null, service: null };
  const used = Number(header[5]!);
  for (let at = 0; at + CMSGHDR <= used; ) {
    const length = Number(control.readBigUInt64LE(at));
    const [level, type] = [control.readInt32LE(at + 8), control.readInt32LE(at + 12)];
    Object.assign(told, readOne(level, type, control.subarray(at + CMSGHDR, at + length), nameOf));
    at += Math.ceil(length / 8) * 8;
  }
  return told;
}

function readOne(level: number, type: number, data: Buffer, nameOf: NameOf): Partial<Told> {
  const is = (...[wanted, option]: readonly [number, number]) => level === wanted && type === option;
  if (level === SOL.SOCKET && ANEW.has(type)) return {};
  if (is(SOL.IP, IP.PKTINFO)) {
    const [index, local, to] = [data.readInt32LE(0), data.subarray(4, 8), data.subarray(8, 12)];
    // Of what was sent to many, the local address is that of the interface.
    if (index !== 0 && !local.equals(to)) throw new Refusal('one of them was sent to many');
    return readDestination(to, index, nameOf);
  }
  if (is(SOL.IPV6, IPV6.PKTINFO)) return readDestination(data.subarray(0, 16), data.readInt32LE(16), nameOf);
  if (is(SOL.IP, IP.TOS)) return { service: data.readUInt8(0) };
  if (is(SOL.IPV6, IPV6.TCLASS)) return { service: data.readInt32LE(0) };
  if (is(SOL.IP, IP.TTL) || is(SOL.IPV6, IPV6.HOPLIMIT)) {
    const hops = data.readInt32LE(0);
    if (hops < 1) throw new Refusal('one of them had no hops left');
    return { hops };
  }
  throw new Refusal(`the program is told of more than can be made again (message ${type} of level ${level})`);
}

/** What the host sends to an address of its own seems to come by the interface that has the address. */
function readDestination(
  to: Uint8Array,
  index: number,
  nameOf: NameOf,
): Pick<Told, 'destination' | 'marked'> {
  const host = onWire(to);
  if (host[0]! >= MANY[host.length === 4 ? 'ipv4' : 'ipv6'])
    throw new Refusal('one of them was sent to many');
  if (isLinkLocal(host)) throw new Refusal('one of them was sent to a link-local address');
  const destination = Uint8Array.from(to);
  if (index === 0) return { destination, marked: false };
  const name = nameOf(index);
  const text = addressText(putTogether(host, 0));
  const own = (networkInterfaces()[name] ?? []).map(({ address }) => address);
  const isOwn =
    host.length === 4 && host[0] === 127
      ? index === LOOPBACK_INDEX
      : own.some((address) => text === `${address}:0` || text === `[${address}]:0`);
  if (!isOwn) throw new Refusal(`one of them came by ${name}, which does not have the address ${text}`);
  return { destination, marked: true };
}
