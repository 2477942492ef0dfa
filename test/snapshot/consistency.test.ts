import test from 'ava';
import { ImageError } from '../../src/errors.js';
import { checkConsistency } from '../../src/snapshot/consistency.js';
import type { DescriptorTable } from '../../src/snapshot/descriptors.js';
import { descriptorTableSchema } from '../../src/snapshot/descriptors.js';
import { makeProcess, makeRegion, makeSnapshot } from './fixture.js';

const refused = (t: { throws: (run: () => void, expected: object) => void }, what: object, message: RegExp) =>
  t.throws(() => checkConsistency(makeSnapshot(what)), { instanceOf: ImageError, message });

test('guards lie within their region, in whole pages, one behind the other', (t) => {
  const { start, end } = makeRegion(0x40_0000n);
  const guarded = (...guards: { start: bigint; end: bigint }[]) => ({
    regions: [makeRegion(0x40_0000n, { guards })],
  });
  t.notThrows(() => checkConsistency(makeSnapshot(guarded({ start, end: start + 0x1000n }))));
  refused(t, guarded({ start: start - 0x1000n, end: start }), /guards\[0\]: begins before its place/);
  refused(t, guarded({ start, end: end + 0x1000n }), /guards\[0\]: ends behind its place/);
  refused(t, guarded({ start, end: start + 1n }), /guards\[0\]: is no run of pages/);
  refused(t, guarded({ start, end: start }), /guards\[0\]: begins before its place/);
  const one = { start, end: start + 0x1000n };
  refused(t, guarded(one, one), /guards\[1\]: begins before its place/);
});

test('a connection goes on only where a table of ours holds it', (t) => {
  const address = Buffer.alloc(16);
  const socket = {
    ...{ kind: 'inet', protocol: 'tcp', connection: { local: address, peer: address } },
    ...{ flags: 2, locks: [] },
  };
  const table = (file: object, hold: string | null) => ({
    descriptors: { ...makeProcess().descriptors, files: [file], descriptors: [], hold } as DescriptorTable,
  });
  t.notThrows(() => checkConsistency(makeSnapshot(table(socket, 'proc2elf-1-00000000'))));
  refused(t, table(socket, null), /connection: goes on without a table/);
  refused(t, table({ ...socket, protocol: 'udp' }, 'proc2elf-1-00000000'), /connection: is none of TCP/);
  const other = { ...socket, connection: { local: address, peer: Buffer.alloc(28) } };
  refused(t, table(other, 'proc2elf-1-00000000'), /two families/);
  const hold = (name: string) => descriptorTableSchema.shape.hold.safeParse(name).success;
  t.true(hold('proc2elf-4242-0123abcd'));
  for (const name of ['filter', 'firewalld', 'proc2elf', 'proc2elf-1-filter']) t.false(hold(name), name);
});
