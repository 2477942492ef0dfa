import { ImageError } from '../errors.js';

/** Name and type of the note that makes an ELF file an image of this program. */
export const VENDOR_NAME = 'proc2elf';
export const VENDOR_TYPE = 1;

/** Version of the image format, the first word of the note. */
export const FORMAT_VERSION = 1;

/** Where the digest lies in the note's descriptor. */
export const DIGEST_OFFSET = 8;
/** Size of the digest, a SHA-256, in bytes. */
export const DIGEST_SIZE = 32;
const RANGES_OFFSET = DIGEST_OFFSET + DIGEST_SIZE;
const RANGE_SIZE = 16;

/** More parts than this are taken for damage. */
const MAX_RANGES = 4096;

/** A part of the file that the digest covers, in bytes. */
export interface Range {
  readonly offset: number;
  readonly size: number;
}

/** What the vendor note says: see {@link encodeVendorNoteHead}. */
export interface VendorNote {
  readonly digest: Uint8Array;
  readonly ranges: readonly Range[];
  /** The encoded snapshot. */
  readonly snapshot: Uint8Array;
}

/**
 * The descriptor of the vendor note: format version (u32), number of covered parts (u32), SHA-256
 * over these parts in order (32 bytes, zero for now), offset and size of each part (u64); the snapshot follows.
 */
export function encodeVendorNoteHead(ranges: readonly Range[]): Uint8Array {
  const head = Buffer.alloc(RANGES_OFFSET + ranges.length * RANGE_SIZE);
  head.writeUInt32LE(FORMAT_VERSION, 0);
  head.writeUInt32LE(ranges.length, 4);
  ranges.forEach(({ offset, size }, i) => {
    head.writeBigUInt64LE(BigInt(offset), RANGES_OFFSET + i * RANGE_SIZE);
    head.writeBigUInt64LE(BigInt(size), RANGES_OFFSET + i * RANGE_SIZE + 8);
  });
  return head;
}

/**
 * Takes the descriptor of a vendor note apart.
 * @throws ImageError if it is of another version or damaged
 */
export function decodeVendorNote(desc: Uint8Array): VendorNote {
  const view = new DataView(desc.buffer, desc.byteOffset, desc.length);
  if (desc.length < RANGES_OFFSET) throw new ImageError('the image is damaged: its own note is cut off');
  const version = view.getUint32(0, true);
  if (version !== FORMAT_VERSION) {
    throw new ImageError(
      `the image has format version ${version}, this program reads version ${FORMAT_VERSION}`,
    );
  }
  const count = view.getUint32(4, true);
  const end = RANGES_OFFSET + count * RANGE_SIZE;
  if (count > MAX_RANGES || end > desc.length) {
    throw new ImageError('the image is damaged: its own note is cut off');
  }
  const ranges = Array.from({ length: count }, (_, i) => ({
    offset: Number(view.getBigUint64(RANGES_OFFSET + i * RANGE_SIZE, true)),
    size: Number(view.getBigUint64(RANGES_OFFSET + i * RANGE_SIZE + 8, true)),
  }));
  return {
    digest: desc.subarray(DIGEST_OFFSET, RANGES_OFFSET),
    ranges,
    snapshot: desc.subarray(end),
  };
}
