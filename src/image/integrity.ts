import { createHash } from 'node:crypto';
import type { Source } from '../elf/source.js';
import { ImageError } from '../errors.js';
import type { VendorNote } from './vendor-note.js';

const BLOCK = 1 << 20;

/** More metadata than this is taken for damage, so that nobody waits for terabytes to be summed. */
const MAX_COVERED = 2 ** 31;

/**
 * Checks the digest of an image: over headers, thaw segments, notes and section headers.
 * @throws ImageError if they are not what was written
 * @throws ElfError if a part lies outside of the file
 */
export function verifyDigest(source: Source, { ranges, digest }: VendorNote): void {
  const covered = ranges.reduce((sum, { size }) => sum + size, 0);
  const last = ranges.at(-1);
  if (ranges[0]?.offset !== 0 || !last || last.offset + last.size !== source.size || covered > MAX_COVERED) {
    throw new ImageError('the image is damaged: it was cut off, or something was added to it');
  }
  const hash = createHash('sha256');
  for (const { offset, size } of ranges) {
    for (let done = 0; done < size; done += BLOCK) {
      hash.update(source.read(offset + done, Math.min(BLOCK, size - done)));
    }
  }
  if (!hash.digest().equals(digest)) throw new ImageError('the image is damaged: its checksum is wrong');
}
