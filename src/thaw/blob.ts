/** The interpreter of thaw programs: a flat binary that runs at any address. */
import { pageUp } from '../image/layout.js';

/** The interpreter, and the places in it that `native/interpreter/program.h` fixes. */
export interface Blob {
  readonly bytes: Uint8Array;
  /** `BLOB_THAW_ENTRY` */
  readonly entry: number;
  /** `BLOB_QUERY_ENTRY` */
  readonly queryEntry: number;
  /** `BLOB_HEADER_ADDRESS` */
  readonly headerAddress: number;
  /** `BLOB_IMAGE_SIZE` */
  readonly imageSize: number;
}

/** @param bytes as the addon has them */
export function makeBlob(bytes: Uint8Array): Blob {
  return { bytes, entry: 0, queryEntry: 0x10, headerAddress: 0x40, imageSize: 0x48 };
}

/** Bytes that the blob takes in an image. */
export function textSize({ bytes }: Blob): number {
  return pageUp(bytes.length);
}
