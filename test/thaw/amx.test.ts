import test from 'ava';
import { THAW_DATA } from '../../src/image/layout.js';
import { makeBlob } from '../../src/thaw/blob.js';
import { disassemble } from '../../src/thaw/disassembler.js';
import { planImage } from '../../src/thaw/plan.js';
import { makeSnapshot, makeThread } from '../snapshot/fixture.js';

/** The thaw programs of an image of two threads, line by line. */
function listing(permittedFeatures: bigint, required: bigint): string[] {
  const snapshot = makeSnapshot({ permittedFeatures, threads: [makeThread(4242), makeThread(4243)] });
  const blob = makeBlob(new Uint8Array(4096));
  const { layout } = planImage({ ...snapshot, processor: { ...snapshot.processor, required } }, blob);
  const section = layout.sections.find(({ name }) => name === THAW_DATA)!;
  const chunkAt = (offset: number) =>
    Buffer.from(layout.chunks.find((chunk) => chunk.offset === offset)!.bytes);
  const text = layout.segments.find(({ vaddr }) => vaddr === layout.entry)!;
  const header = chunkAt(text.offset).readBigUInt64LE(blob.headerAddress);
  return [...disassemble(chunkAt(section.offset), section.address, header)];
}

test('a process that may use AMX gets the permission before any thread starts or sets its signal stack', (t) => {
  const lines = listing(0x6_00e7n, 0x6_0007n);
  const at = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line));
  const asked = at(/arch_prctl\(ARCH_REQ_XCOMP_PERM, 0x12\).*# cannot get the permission to use AMX/);
  t.true(asked > 0);
  t.true(asked < at(/spawn|clone/i));
  t.true(asked < at(/sigaltstack/));
  t.true(asked > at(/# this processor lacks AMX/) && at(/# this processor lacks AMX/) > 0);
});

test('a process that never asked for AMX does not do so when it is thawed', (t) => {
  for (const permitted of [0n, 0xe7n, 0x2_00e7n]) {
    const lines = listing(permitted, 7n);
    t.false(lines.some((line) => /XCOMP_PERM|AMX/.test(line)));
  }
});
