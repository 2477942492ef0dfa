/** By whom datagrams are put back: a socket at the address of their sender, or one that sends packets in its name. */
import { O } from '../../fcntl.js';
import { AF, addressText, IPPROTO, putTogether, SOL, takeApart } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, type Extra, show } from '../calls.js';
import type { Cell, Op } from '../program.js';
import type { Bench } from './bench.js';
import { close } from './calls.js';
import type { Arrival } from './datagram-arrival.js';
import { PORT, TemporaryPort } from './datagram-port.js';
import { isFour, type Run } from './datagram-run.js';
import { HOPS, ipHeader, makePacketSocket } from './packets.js';
import { makeSocket, setInteger, toAddress } from './socket-calls.js';

type Inet = OpenFileOf<'inet'>;

const IP = { TOS: 1, TTL: 2, TRANSPARENT: 19 } as const;
const IPV6 = { UNICAST_HOPS: 16, TCLASS: 67, TRANSPARENT: 75 } as const;
const UDP_NO_CHECK6_RX = 102;
const UDPHDR = 8;

/** Sends from a socket at the sender's address; where there cannot be one, with a header of our own. */
export function sendRun(
  run: Run,
  file: Inet,
  fd: number,
  arrival: Arrival,
  label: string,
  bench: Bench,
): Op[] {
  const { arena } = bench;
  const { source, to, contents } = run;
  const sender = arena.cell(-1n);
  const port = new TemporaryPort(fd, file, label, bench);
  const packets = contents.map((content) => packetOf(run, content));
  const at = packets.map((packet) => arena.bytes(packet));
  const header = BigInt(packets[0]!.length - contents[0]!.length);
  const address = putTogether(to, 0);
  const [target, host] = [arena.bytes(address), arena.bytes(address)];
  const send = (from: bigint, size: number, where: bigint, jump?: string): Op =>
    call('sendto', [sender, from, size, 0, where, address.length], {
      label,
      check: jump === undefined ? { kind: 'equal', expected: size } : { kind: 'ok', jump },
      text: `sendto(${show(sender)}, [${size} bytes from ${addressText(source)}])`,
    });
  const forged = mayForge(file) ? bench.mark() : undefined;
  const done = bench.mark();
  return [
    ...bindSender(run, sender, file, label, forged, bench),
    ...port.take(),
    port.store(target + PORT),
    ...contents.flatMap(({ length }, i) =>
      // The first shows whether the address may be used.
      arrival.of(send(at[i]! + header, length, target, i === 0 ? forged : undefined)),
    ),
    ...(forged === undefined
      ? []
      : [
          { op: 'jump' as const, to: done },
          { op: 'mark' as const, name: forged },
          port.giveBack(),
          ...openForger(run, sender, label),
          ...port.take(),
          ...setUnchecked(run, fd, 1, label, bench),
          ...packets.flatMap((packet, i) => [
            port.store(at[i]! + header - BigInt(UDPHDR) + PORT),
            ...arrival.of(send(at[i]!, packet.length, host)),
          ]),
          ...setUnchecked(run, fd, 0, label, bench),
          { op: 'mark' as const, name: done },
        ]),
    port.giveBack(),
    close(sender),
  ];
}

/** Whether there can be a sender: the test for `--check`. */
export function testSender(run: Run, file: Inet, label: string, bench: Bench): Op[] {
  const sender = bench.arena.cell(-1n);
  const forged = mayForge(file) ? bench.mark() : undefined;
  const done = bench.mark();
  return [
    ...bindSender(run, sender, file, label, forged, bench),
    ...(forged === undefined
      ? []
      : [
          { op: 'jump' as const, to: done },
          { op: 'mark' as const, name: forged },
          ...openForger(run, sender, label),
          { op: 'mark' as const, name: done },
        ]),
    close(sender),
  ];
}

/** Packets of our own have no checksum, which UDP-Lite does not know. */
function mayForge({ protocol }: Inet): boolean {
  return protocol === 'udp';
}

/**
 * A socket at the sender's address, which may be that of another host if we are privileged.
 * @param forged where to go on if there cannot be one
 */
function bindSender(
  { source, like: { hops, service } }: Run,
  result: Cell,
  file: Inet,
  label: string,
  forged: string | undefined,
  { arena }: Bench,
): Op[] {
  const four = isFour(source);
  const level = four ? SOL.IP : SOL.IPV6;
  const set = (option: number, value: number | null, extra: Extra = { label }): Op[] =>
    value === null ? [] : [setInteger(result, level, option, value, arena, extra)];
  // The kernel would give it another port instead.
  if (takeApart(source).port === 0 && forged !== undefined) return [{ op: 'jump', to: forged }];
  return [
    makeSocket({ ...file, family: four ? 'ipv4' : 'ipv6' }, O.CLOEXEC, { label, result }),
    ...set(four ? IP.TRANSPARENT : IPV6.TRANSPARENT, 1, { check: { kind: 'none' } }),
    ...set(four ? IP.TTL : IPV6.UNICAST_HOPS, hops),
    ...set(four ? IP.TOS : IPV6.TCLASS, service),
    toAddress('bind', result, source, arena, {
      label,
      check: { kind: 'ok', ...(forged === undefined ? {} : { jump: forged }) },
    }),
  ];
}

/** Instead of such a socket, one that sends whole packets. */
function openForger({ source }: Run, sender: Cell, label: string): Op[] {
  const all = `${label}, as it takes CAP_NET_RAW`;
  return [close(sender), makePacketSocket(isFour(source) ? AF.INET : AF.INET6, sender, { label: all })];
}

/** A packet to a port that is filled in. */
function packetOf({ source, to, like: { hops, service } }: Run, content: Uint8Array): Uint8Array {
  const { host, port } = takeApart(source);
  const udp = Buffer.alloc(UDPHDR);
  const size = UDPHDR + content.length;
  udp.writeUInt16BE(port, 0);
  udp.writeUInt16BE(size, 4);
  const header = { from: host, to, protocol: IPPROTO.udp, size, hops: hops ?? HOPS, service: service ?? 0 };
  return Buffer.concat([ipHeader(header), udp, content]);
}

/** Lets datagrams without a checksum in, which IPv6 does not by itself. */
function setUnchecked({ source }: Run, fd: number, on: number, label: string, { arena }: Bench): Op[] {
  return isFour(source) ? [] : [setInteger(fd, SOL.UDP, UDP_NO_CHECK6_RX, on, arena, { label })];
}
