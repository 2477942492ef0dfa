import test, { type ExecutionContext } from 'ava';
import { addon } from '../../src/native/addon.js';
import type { RegisterSet } from '../../src/snapshot/registers.js';
import { CODE, type Component, codeSegments, initialXstate, lastActs } from './support/finish.js';
import { buildImage } from './support/image.js';
import { main } from './support/ops.js';
import { compileFlat, type Ended, run } from './support/run.js';

const code = compileFlat('thawed.S', CODE);
const AREA = 0x1000;
const XSTATE_BV = 512;
const xcr0 = addon.xcr0();

/** Where this processor keeps each component. */
const local: Component[] = Array.from({ length: 64 }, (_, i) => {
  if (i < 2 || !(xcr0 & (1n << BigInt(i)))) return { offset: 0, size: 0 };
  const [size, offset] = addon.cpuid(0xd, i);
  return { offset, size };
});

/** What a program may fill with any bits: AVX, AVX-512. */
const PLAIN = [2, 5, 6, 7].filter((i) => local[i]!.size > 0);

/** Intel's layout, with the gap that MPX left, whatever processor this is. */
const INTEL: Component[] = Array.from({ length: 64 }, (_, i) => {
  const offsets: Readonly<Record<number, number>> = { 2: 576, 5: 1088, 6: 1152, 7: 1664, 9: 2688 };
  return { offset: offsets[i] ?? 0, size: offsets[i] === undefined ? 0 : local[i]!.size };
});
/** A layout that overlaps this processor's in every way. */
const ODD: Component[] = Array.from({ length: 64 }, (_, i) => {
  const offsets: Readonly<Record<number, number>> = { 7: 640, 6: 1664, 5: 2240, 2: 2432 };
  return { offset: offsets[i] ?? 0, size: offsets[i] === undefined ? 0 : local[i]!.size };
});

function pattern(size: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + seed * 41 + 1) & 0xff));
}

/** A captured area with something in every component of `components`. */
function capture(layout: readonly Component[], components = PLAIN): Buffer {
  const area = initialXstate(2752);
  area.writeUInt16LE(0x027f, 0); // 53 bits of precision
  area.writeUInt8(0xff, 4);
  area.writeUInt32LE(0x7f80, 24); // rounds towards zero
  for (let i = 0; i < 8; i++) pattern(10, i).copy(area, 32 + i * 16);
  for (let i = 0; i < 16; i++) pattern(16, 100 + i).copy(area, 160 + i * 16);
  let inUse = 3n;
  for (const i of components) {
    pattern(layout[i]!.size, i).copy(area, layout[i]!.offset);
    inUse |= 1n << BigInt(i);
  }
  area.writeBigUInt64LE(inUse, XSTATE_BV);
  // ptrace leaves XCR0 where a signal frame has its software bytes.
  area.writeBigUInt64LE(xcr0, 464);
  return area;
}

const REGISTERS: Partial<RegisterSet> = Object.fromEntries(
  ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp'].map((name, i) => [
    name,
    0x1111_0000_0000_0001n + BigInt(i),
  ]),
);
const MORE: Partial<RegisterSet> = Object.fromEntries(
  Array.from({ length: 8 }, (_, i) => [`r${i + 8}`, 0xffff_1234_0000_0000n + BigInt(i)]),
);

function thaw(
  xstate: Uint8Array,
  components: readonly Component[],
  options: { signalMask?: bigint; dumpable?: number; capacity?: number; asThread?: boolean } = {},
): Ended {
  const spec = {
    registers: { ...REGISTERS, ...MORE, rip: CODE, eflags: 0x247n },
    xstate,
    signalMask: options.signalMask ?? 0n,
  };
  const waits = { registers: { rip: CODE + 0x10n } };
  const path = buildImage((arena) => {
    const acts = lastActs(arena, options.asThread ? [waits, spec] : [spec], { ...options, components });
    return {
      programs: [main(...acts.begin, acts.finish), ...acts.programs],
      segments: codeSegments(code),
    };
  });
  return run(path);
}

function assertSame(t: ExecutionContext, { stdout, stderr }: Ended, components = PLAIN): void {
  t.is(stderr, '');
  t.is(stdout.length, 0x5000);
  const names = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp'] as const;
  names.forEach((name, i) => {
    t.is(stdout.readBigUInt64LE(i * 8), REGISTERS[name]!, name);
  });
  for (let i = 8; i < 16; i++) t.is(stdout.readBigUInt64LE(i * 8), 0xffff_1234_0000_0000n + BigInt(i - 8));
  t.is(stdout.readBigUInt64LE(128) & 0xcd5n, 0x45n, 'flags');
  const area = stdout.subarray(AREA);
  t.is(area.readUInt16LE(0), 0x027f, 'x87 control');
  t.is(area.readUInt32LE(24), 0x7f80, 'MXCSR');
  for (let i = 0; i < 8; i++) t.deepEqual(area.subarray(32 + i * 16, 42 + i * 16), pattern(10, i), `st${i}`);
  for (let i = 0; i < 16; i++)
    t.deepEqual(area.subarray(160 + i * 16, 176 + i * 16), pattern(16, 100 + i), `xmm${i}`);
  const inUse = area.readBigUInt64LE(XSTATE_BV);
  for (const i of components) {
    t.true((inUse & (1n << BigInt(i))) !== 0n, `component ${i} is in use`);
    const { offset, size } = local[i]!;
    t.deepEqual(area.subarray(offset, offset + size), pattern(size, i), `component ${i}`);
  }
}

test('all registers of this processor come back', (t) => {
  t.log(`components of this processor: ${PLAIN.join(', ')}`);
  assertSame(t, thaw(capture(local), local));
});

test("registers captured with Intel's layout come back", (t) => {
  assertSame(t, thaw(capture(INTEL), INTEL));
});

test('registers captured with a layout that overlaps this one come back', (t) => {
  assertSame(t, thaw(capture(ODD), ODD));
});

test('the registers of another thread come back, too', (t) => {
  assertSame(t, thaw(capture(INTEL), INTEL, { asThread: true }));
});

test('each component survives alone, the others are in their initial state', (t) => {
  for (const i of PLAIN) {
    const ended = thaw(capture(INTEL, [i]), INTEL);
    assertSame(t, ended, [i]);
    const area = ended.stdout.subarray(AREA);
    for (const other of PLAIN.filter((candidate) => candidate !== i)) {
      const { offset, size } = local[other]!;
      t.true(
        area.subarray(offset, offset + size).every((byte) => byte === 0),
        `component ${other} beside ${i}`,
      );
    }
  }
});

test('an area without an XSAVE header is x87 and SSE', (t) => {
  assertSame(t, thaw(capture(local).subarray(0, 512), local), []);
});

test('protection keys come back where the processor has them', (t) => {
  if (local[9]!.size === 0) {
    t.log('this processor has no protection keys');
    t.pass();
    return;
  }
  const area = capture(local, [...PLAIN, 9]);
  area.writeUInt32LE(0x5555_5550, local[9]!.offset);
  const { stdout } = thaw(area, local);
  t.is(stdout.readUInt32LE(AREA + local[9]!.offset), 0x5555_5550);
});

test('a component that this processor lacks is left out', (t) => {
  const area = capture(local);
  area.writeBigUInt64LE(area.readBigUInt64LE(XSTATE_BV) | (1n << 61n), XSTATE_BV);
  assertSame(t, thaw(area, local));
});

test('the signal mask and the dumpable state are those that were asked for', (t) => {
  for (const dumpable of [0, 1]) {
    const { stdout } = thaw(capture(local), local, { signalMask: 0x4a02n, dumpable });
    t.is(stdout.readBigUInt64LE(136), 0x4a02n);
    t.is(stdout.readBigUInt64LE(144), BigInt(dumpable));
  }
});

test('the dumpable state is set with other threads, too', (t) => {
  const { stdout } = thaw(capture(local), local, { dumpable: 0, asThread: true });
  t.is(stdout.readBigUInt64LE(144), 0n);
});

test('what does not fit is an error, never half a state', (t) => {
  const cannot = (xstate: Uint8Array, components: readonly Component[], capacity?: number): string => {
    const { status, stderr } = thaw(xstate, components, capacity === undefined ? {} : { capacity });
    t.is(status, 125);
    return stderr.replace(/^[^:]*: /, '');
  };
  const [some] = PLAIN;
  if (some !== undefined) {
    const wrong = local.map((component, i) =>
      i === some ? { ...component, size: component.size - 1 } : component,
    );
    t.is(cannot(capture(local), wrong), 'cannot convert: EINVAL\n');
    const outside = local.map((component, i) =>
      i === some ? { ...component, offset: 0xffff_fff0 } : component,
    );
    t.is(cannot(capture(local), outside), 'cannot convert: EINVAL\n');
    const small = capture(local, []);
    small.writeBigUInt64LE(3n | (1n << BigInt(some)), XSTATE_BV);
    const tight = local.map((component, i) => (i === some ? { ...component, offset: 0 } : component));
    t.is(cannot(small.subarray(0, 576), tight, 640), 'cannot convert: ENOSPC\n');
  }
  const unknown = capture(local);
  unknown.writeUInt32LE(0x8000_1f80, 24);
  t.is(cannot(unknown, local), 'cannot convert: EOPNOTSUPP\n');
});
