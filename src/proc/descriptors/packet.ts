/** Packet sockets: what reaches the network interfaces, and leaves by them. */
import { SO, SOL } from '../../inet.js';
import { interfaceName, socketName } from '../../native/inet.js';
import { type PacketFacts, packetSockets } from '../../native/packet-diag.js';
import { getOption, integerOption, Poll, pollNow } from '../../native/sockets.js';
import {
  AF_PACKET,
  FANOUT,
  fanoutId,
  fanoutType,
  LINK_ADDRESS,
  MOST_MEMBERSHIPS,
  PACKET,
} from '../../packet.js';
import { TPACKET_V3 } from '../../packet-ring.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { Sock } from '../../socket.js';
import { errnoOf, readProcText } from '../read.js';
import type { Entry } from './entries.js';
import { captureOptions, type Fresh, isHere, readFresh } from './inet-options.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { ELSEWHERE, elsewhereProblem } from './network-namespace.js';
import { once } from './once.js';
import { captureRing } from './packet-ring.js';
import { leaveBehind, Refusal } from './refusal.js';

type Packet = OpenFileOf<'packet'>;

/** `SOCK_PACKET` of socket(2), which has been obsolete since Linux 2.2. */
const OBSOLETE = 10;
/** Columns of /proc/net/packet. */
const TYPE = 2;
const INODE = 8;

/** Packet sockets. */
export const packet: DescriptorKind = {
  matches: ({ protocol }) => protocol === 'PACKET',
  describe: ({ link }) => `packet socket, ${link}`,
  problem: ({ stat }, target) => {
    const type = once(target, 'packet types', () => readTypes(target.pid)).get(String(stat.ino));
    return elsewhereProblem(target.pid) ?? (type === undefined ? null : typeProblem(type));
  },
  capture: ({ entries: [entry] }, context) => {
    const facts = once(context, 'packet sockets', packetSockets).get(entry!.stat.ino);
    // Not with a duplicate of ours, which is another's descriptor as well.
    if (facts?.ring) refuseOthers(entry!, context);
    return context.withCopy(entry!.fd, (copy) => captureSocket(entry!, copy, facts, context));
  },
};

/** The types of all packet sockets of the process's network namespace, by inode. @throws TargetError */
function readTypes(pid: number): Map<string, number> {
  const lines = readProcText(pid, 'net/packet').split('\n');
  return new Map(
    lines.map((line) => {
      const columns = line.trim().split(/\s+/);
      return [columns[INODE] ?? '', Number(columns[TYPE])];
    }),
  );
}

function typeProblem(type: number): string | null {
  return type === OBSOLETE ? 'of the obsolete type SOCK_PACKET, which is not carried' : null;
}

/** Whoever reads a ring gives its blocks back for all. */
function refuseOthers({ link }: Entry, { target }: KindContext): void {
  const { held, complete } = target.others.findLinks(new Set([link]));
  if (held.size === 0 && complete) return;
  const may = held.size > 0 ? 'has' : 'may have';
  throw new Refusal(`another process ${may} it open, too, so that its ring (PACKET_RX_RING) is not carried`);
}

function captureSocket(
  entry: Entry,
  copy: number,
  facts: PacketFacts | undefined,
  context: KindContext,
): Omit<Packet, 'locks'> {
  const type = integerOption(copy, SO.TYPE);
  const problem = typeProblem(type);
  if (problem !== null) throw new Refusal(problem);
  const fresh = freshOf(type, context);
  if (!isHere(copy, fresh)) throw new Refusal(ELSEWHERE);
  if (!facts) throw new Refusal('the kernel does not tell of it (sock_diag)');
  const name = Buffer.from(socketName(copy));
  const device = name.readInt32LE(LINK_ADDRESS.interface);
  if (device < 0) throw new Refusal('the interface that it was bound to is gone');
  const protocol = name.readUInt16BE(LINK_ADDRESS.protocol);
  const events = pollNow(copy);
  warnOfLoss(entry, events, facts, context);
  return {
    ...{ kind: 'packet', flags: entry.info.flags, protocol },
    type: type === Sock.DGRAM ? 'datagram' : 'raw',
    interface: device === 0 ? null : interfaceName(copy, device),
    toldDown: device > 0 && protocol !== 0 && !facts.running && !(events & Poll.ERR),
    ...captureValues(copy, fresh, facts),
    memberships: captureMemberships(copy, facts),
    fanout: captureFanout(entry, copy, facts, context),
    // The last of all: what comes later has come behind the end of the process.
    ring: captureRingOf(entry, copy, facts, context),
  };
}

function freshOf(type: number, context: KindContext): Fresh {
  return once(context, `packet ${type}`, () => {
    try {
      return readFresh(AF_PACKET, type, 0);
    } catch (error) {
      throw new Refusal(
        `its options are compared with those of a new one, which takes CAP_NET_RAW (${errnoOf(error)})`,
      );
    }
  });
}

function captureRingOf(
  entry: Entry,
  copy: number,
  { ring, sendRing }: PacketFacts,
  { pid, warnings }: KindContext,
): Packet['ring'] {
  if (sendRing) throw new Refusal('it has a ring of packets to send (PACKET_TX_RING), which is not carried');
  if (ring === null) return null;
  const version = Buffer.from(getOption(copy, SOL.PACKET, PACKET.VERSION, 4)!).readInt32LE(0);
  if (version !== TPACKET_V3) {
    throw new Refusal(
      `it has a ring (PACKET_RX_RING) of TPACKET_V${version + 1}, of which the kernel does not tell where it goes on; only those of TPACKET_V3 are carried`,
    );
  }
  warnings.push(
    `descriptor ${entry.fd} (packet socket, ${entry.link}) has a ring (PACKET_RX_RING), whose blocks are numbered anew`,
  );
  return captureRing(pid, entry.stat.ino, ring);
}

function captureValues(copy: number, fresh: Fresh, { copyThreshold }: PacketFacts) {
  const { options, filter } = captureOptions(copy, fresh, true);
  const isTold = fresh.options.some(
    ({ level, option }) => level === SOL.PACKET && option === PACKET.COPY_THRESH,
  );
  if (!isTold && copyThreshold !== 0) {
    const value = Uint8Array.from(Buffer.from(Int32Array.of(copyThreshold).buffer));
    options.push({ level: SOL.PACKET, option: PACKET.COPY_THRESH, value });
  }
  return { options, filter };
}

function captureMemberships(copy: number, { memberships }: PacketFacts): Packet['memberships'] {
  return memberships
    .map(({ device, type, address, count }) => {
      if (count > MOST_MEMBERSHIPS) throw new Refusal(`it has asked for the same ${count} times`);
      return { interface: interfaceName(copy, device), type, address, count };
    })
    .reverse();
}

function captureFanout(
  { fd, link }: Entry,
  copy: number,
  { inFanout }: PacketFacts,
  { warnings }: KindContext,
): number | null {
  // The option is 0 without a group, and that may be one, too.
  if (!inFanout) return null;
  const fanout = Buffer.from(getOption(copy, SOL.PACKET, PACKET.FANOUT, 4)!).readUInt32LE(0);
  const type = fanoutType(fanout);
  if (type === FANOUT.CBPF || type === FANOUT.EBPF) {
    throw new Refusal('its fanout group has a program (PACKET_FANOUT_DATA), which cannot be read');
  }
  warnings.push(
    `descriptor ${fd} (packet socket, ${link}) is in fanout group ${fanoutId(fanout)}: it joins that again, and which of the members gets which packets may differ`,
  );
  return fanout;
}

/** What no look tells without taking it. */
function warnOfLoss({ fd, link }: Entry, events: number, { ring }: PacketFacts, context: KindContext): void {
  const what = `descriptor ${fd} (packet socket, ${link}) has`;
  if (events & Poll.ERR) {
    leaveBehind(context, `${what} an error or a time stamp that was not read yet, which is not carried`);
  }
  // With a ring it tells of that.
  if (ring === null && events & Poll.IN) {
    leaveBehind(context, `${what} packets that were not received yet: they are not carried`);
  }
}
