/**
 * Rings in memory, packet_mmap of the kernel's Documentation/networking: blocks that kernel and program take turns
 * at, TPACKET_V3. All sizes in bytes.
 */

/** PACKET_VERSION of rings that are carried. */
export const TPACKET_V3 = 2;

/** Where a block has what is said of it: `struct tpacket_block_desc`. */
export const BLOCK = {
  /** `TP_STATUS_*`: whose it is, and why. */
  status: 8,
  packets: 12,
  firstPacket: 16,
  length: 20,
  /** 64 bits; it counts the blocks that the kernel has begun, from 1 on. */
  sequence: 24,
  lastSeconds: 40,
  lastNanoseconds: 44,
  /** Of all that, behind which the program may have room of its own. */
  size: 48,
} as const;

/** Where a packet has what is said of it: `struct tpacket3_hdr`. */
export const RING_PACKET = {
  /** Distance to the next packet; 0 of the last one in a block that is the program's. */
  next: 0,
  seconds: 4,
  nanoseconds: 8,
  size: 12,
} as const;

/** The block is the program's, until it gives it back by a status of 0. */
export const TP_STATUS_USER = 1;
/** It was given to the program before it was full. */
export const TP_STATUS_BLK_TMO = 0x20;

/** `struct tpacket_req3`: seven words. */
export interface RingShape {
  readonly blockSize: number;
  readonly blockCount: number;
  readonly frameSize: number;
  readonly frameCount: number;
  /** After so many milliseconds a block with packets in it becomes the program's. */
  readonly timeout: number;
  /** Of the program's own room in each block. */
  readonly privateSize: number;
  /** `TP_FT_REQ_*` */
  readonly features: number;
}

/** Bytes of the ring. */
export function ringSize({ blockSize, blockCount }: Pick<RingShape, 'blockSize' | 'blockCount'>): bigint {
  return BigInt(blockSize) * BigInt(blockCount);
}
