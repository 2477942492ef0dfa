/** sock_diag(7): what the kernel tells of all packet sockets of this network namespace. */

import { attributesOf } from '../netlink.js';
import { AF_PACKET, MOST_ADDRESS } from '../packet.js';
import type { RingShape } from '../packet-ring.js';
import { dumpSockets } from './diag.js';

/** `linux/packet_diag.h`: what is asked for. */
const SHOW = { INFO: 1, MCLIST: 2, RING_CFG: 4, FANOUT: 8 } as const;
/** `linux/packet_diag.h`: attributes of the reply. */
const ATTRIBUTE = { INFO: 0, MCLIST: 1, RX_RING: 2, TX_RING: 3, FANOUT: 4 } as const;
/** `sizeof (struct packet_diag_msg)` */
const PACKET_DIAG_MSG = 16;
/** Of `struct packet_diag_info`. */
const PDI_RUNNING = 1;
/** `struct packet_diag_mclist`: where the address stands, and the size of all. */
const MCLIST_ADDRESS = 12;
const MCLIST = MCLIST_ADDRESS + MOST_ADDRESS;

/** What a packet socket has asked of an interface. */
export interface PacketMembership {
  readonly device: number;
  /** `PACKET_MR_*` */
  readonly type: number;
  readonly address: Uint8Array;
  /** How often it has. */
  readonly count: number;
}

/** What the kernel tells of a packet socket. */
export interface PacketFacts {
  /** Packets reach it: it has a protocol, and its interface is up. */
  readonly running: boolean;
  /** PACKET_COPY_THRESH, which getsockopt(2) does not tell before Linux 6.17. */
  readonly copyThreshold: number;
  /** The latest first. */
  readonly memberships: readonly PacketMembership[];
  readonly inFanout: boolean;
  /** PACKET_RX_RING. */
  readonly ring: RingShape | null;
  /** It has a ring for what it sends (PACKET_TX_RING). */
  readonly sendRing: boolean;
}

/** All packet sockets of the network namespace in which this process is, by inode. */
export function packetSockets(): Map<bigint, PacketFacts> {
  const request = Buffer.alloc(20); // struct packet_diag_req
  request.writeUInt8(AF_PACKET, 0);
  request.writeUInt32LE(
    Object.values(SHOW).reduce((all, bit) => all | bit, 0),
    8,
  );
  return new Map(dumpSockets(request, parse));
}

function parse(message: Buffer): [bigint, PacketFacts] {
  const found = attributesOf(message.subarray(PACKET_DIAG_MSG));
  const info = found.get(ATTRIBUTE.INFO)!; // struct packet_diag_info
  return [
    BigInt(message.readUInt32LE(4)),
    {
      copyThreshold: info.readUInt32LE(12),
      running: (info.readUInt32LE(20) & PDI_RUNNING) !== 0,
      memberships: membershipsOf(found.get(ATTRIBUTE.MCLIST) ?? Buffer.alloc(0)),
      inFanout: found.has(ATTRIBUTE.FANOUT),
      ring: shapeOf(found.get(ATTRIBUTE.RX_RING)),
      sendRing: found.has(ATTRIBUTE.TX_RING),
    },
  ];
}

/** `struct packet_diag_ring` */
function shapeOf(ring: Buffer | undefined): RingShape | null {
  if (!ring) return null;
  const [blockSize, blockCount, frameSize, frameCount, timeout, privateSize, features] = Array.from(
    { length: 7 },
    (_, i) => ring.readUInt32LE(i * 4),
  ) as [number, number, number, number, number, number, number];
  return { blockSize, blockCount, frameSize, frameCount, timeout, privateSize, features };
}

function membershipsOf(list: Buffer): PacketMembership[] {
  return Array.from({ length: list.length / MCLIST }, (_, i) => {
    const entry = list.subarray(i * MCLIST, (i + 1) * MCLIST);
    const length = Math.min(entry.readUInt16LE(10), MOST_ADDRESS);
    return {
      device: entry.readUInt32LE(0),
      count: entry.readUInt32LE(4),
      type: entry.readUInt16LE(8),
      address: Uint8Array.from(entry.subarray(MCLIST_ADDRESS, MCLIST_ADDRESS + length)),
    };
  });
}
