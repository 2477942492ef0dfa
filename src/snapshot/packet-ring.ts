/** The ring in memory of a packet socket as an image has it. Its content is that of the regions that show it. */
import * as z from 'zod';
import { BLOCK, RING_PACKET, type RingShape, ringSize } from '../packet-ring.js';
import { PAGE_SIZE } from '../page.js';
import { index, int, word } from './fields.js';

const word32 = int.min(0).max(0xffff_ffff);

/** See {@link RingShape}. Blocks are counted as the program sees them, from 0 at `address`. */
export const packetRingSchema = z
  .object({
    blockSize: int.min(PAGE_SIZE).max(0x7fff_0000).multipleOf(PAGE_SIZE),
    blockCount: int.min(1).max(0xffff_ffff),
    frameSize: word32,
    frameCount: word32,
    timeout: word32,
    privateSize: word32,
    features: word32,
    /** Where the program sees it. */
    address: word.refine((value) => value % BigInt(PAGE_SIZE) === 0n, 'is no page'),
    /** The block that the kernel goes on with. */
    first: index,
    /** Blocks that are the program's. */
    waiting: z.array(index),
    /** What the kernel would have said of the block before `first`, had it given that to the program. */
    given: z
      .object({
        packets: word32,
        length: word32,
        /** Where the last packet begins. */
        last: index,
        seconds: word32,
        nanoseconds: word32,
      })
      .nullable(),
  })
  .refine(
    ({ first, waiting, given, blockCount, blockSize }) =>
      first < blockCount &&
      waiting.length < blockCount &&
      waiting.every((block) => block < blockCount && block !== first) &&
      (given === null ||
        (blockCount > 1 && given.last >= BLOCK.size && given.last + RING_PACKET.size <= blockSize)),
    'has blocks that are not there',
  );

/** See {@link packetRingSchema}. */
export type PacketRing = z.infer<typeof packetRingSchema> & RingShape;

/** Addresses at which the program sees the ring. */
export function ringRange(ring: PacketRing): { readonly start: bigint; readonly end: bigint } {
  return { start: ring.address, end: ring.address + ringSize(ring) };
}
