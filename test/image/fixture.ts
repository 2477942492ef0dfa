import { PF } from '../../src/elf/constants.js';
import {
  contentOffset,
  type ImageLayout,
  type ImageSection,
  type ImageSegment,
} from '../../src/image/layout.js';
import { sectionNames } from '../../src/image/section-names.js';
import type { Region, Snapshot } from '../../src/snapshot/schema.js';
import { makeRegion, makeSnapshot } from '../snapshot/fixture.js';

const PAGE = 0x1000;
const THAW_TEXT_ADDRESS = 0x7000_0000_0000n;
const THAW_DATA_ADDRESS = THAW_TEXT_ADDRESS + BigInt(PAGE);

export interface Fixture {
  readonly layout: ImageLayout;
  readonly snapshot: Snapshot;
}

/** `exit_group(42)`. */
const EXIT_42 = Uint8Array.of(0xbf, 42, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05);

/**
 * An image whose entry code ends with status 42, that the kernel accepts: `count` one-page regions
 * with content taken from descriptor `fd`, two thaw segments, and `loose` regions without a segment.
 */
export function makeFixture(count = 3, options: { fd?: number; loose?: number } = {}): Fixture {
  const first = contentOffset(count + 2);
  const regions: Region[] = [];
  for (let i = 0; i < count; i++) {
    const start = 0x40_0000n + BigInt(i) * 0x4000n;
    const offset = first + i * PAGE;
    const prot = [5, 1, 3][i % 3] ?? 3;
    const path = i < 2 ? '/usr/bin/counter' : '';
    regions.push(makeRegion(start, { prot, path, extents: [{ start, size: PAGE, offset }] }));
  }
  const loose = Array.from({ length: options.loose ?? 0 }, (_, i) =>
    makeRegion(0x5000_0000_0000n + BigInt(i) * 0x2000n, { prot: 0 }),
  );
  const textAt = first + count * PAGE;
  const dataAt = textAt + PAGE;
  const text = new Uint8Array(PAGE);
  text.set(EXIT_42);
  new DataView(text.buffer).setBigUint64(0x40, THAW_DATA_ADDRESS + 0x10n, true);
  const data = new Uint8Array(PAGE).fill(0x5a);
  const segments: ImageSegment[] = regions.map(({ start, prot, extents }) => ({
    vaddr: start,
    paddr: start,
    offset: extents[0]?.offset ?? 0,
    filesz: PAGE,
    memsz: PAGE,
    flags: (prot & 1 ? PF.R : 0) | (prot & 2 ? PF.W : 0) | (prot & 4 ? PF.X : 0),
  }));
  const thaw = (vaddr: bigint, offset: number, flags: number): ImageSegment => ({
    vaddr,
    paddr: vaddr,
    offset,
    filesz: PAGE,
    memsz: PAGE,
    flags,
  });
  segments.push(thaw(THAW_TEXT_ADDRESS, textAt, PF.R | PF.X), thaw(THAW_DATA_ADDRESS, dataAt, PF.R | PF.W));
  const all = [...regions, ...loose];
  const names = sectionNames(all);
  const sections: ImageSection[] = all.map(({ start, prot, extents }, i) => ({
    name: names[i] ?? '',
    address: start,
    offset: extents[0]?.offset ?? 0,
    size: PAGE,
    writable: (prot & 2) !== 0,
    executable: (prot & 4) !== 0,
    nobits: extents.length === 0,
  }));
  const own = { size: PAGE, nobits: false };
  sections.push(
    {
      ...own,
      name: '.thaw.text',
      address: THAW_TEXT_ADDRESS,
      offset: textAt,
      writable: false,
      executable: true,
    },
    {
      ...own,
      name: '.thaw.data',
      address: THAW_DATA_ADDRESS,
      offset: dataAt,
      writable: true,
      executable: false,
    },
  );
  const layout: ImageLayout = {
    entry: THAW_TEXT_ADDRESS,
    segments,
    sections,
    chunks: [
      { offset: textAt, bytes: text },
      { offset: dataAt, bytes: data },
    ],
    copies:
      options.fd === undefined ? [] : [{ fd: options.fd, source: 0n, size: count * PAGE, offset: first }],
    sizeAt: textAt + 0x48,
    end: dataAt + PAGE,
  };
  return { layout, snapshot: makeSnapshot({ regions: all }) };
}
