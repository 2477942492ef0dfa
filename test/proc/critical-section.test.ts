import test from 'ava';
import { TargetError } from '../../src/errors.js';
import type { ThreadState } from '../../src/native/tracer.js';
import { outOfCriticalSection } from '../../src/proc/critical-section.js';
import {
  decodeRegisters,
  encodeRegisters,
  REGISTERS,
  type RegisterSet,
} from '../../src/snapshot/registers.js';

const AREA = 0x7f00_0000_0fe0n;
const DESCRIPTOR = 0x40_3000n;
const START = 0x40_1000n;
const LENGTH = 0x20n;
const ABORT = 0x40_2004n;
const SIGNATURE = 0x53053053;

function stateAt(rip: bigint, changes: Partial<ThreadState> = {}, orig_rax = -1n): ThreadState {
  const set = Object.fromEntries(REGISTERS.map((name, i) => [name, BigInt(i)])) as RegisterSet;
  return {
    tid: 7,
    registers: encodeRegisters({ ...set, rip, orig_rax }),
    xstate: new Uint8Array(),
    signalMask: 0n,
    pending: [],
    rseq: { address: AREA, length: 32, signature: SIGNATURE },
    groupStopped: false,
    dispatches: false,
    ...changes,
  };
}

/** Memory in which a section is announced. */
function memoryWith({ cell = DESCRIPTOR, version = 0, flags = 0, signature = SIGNATURE } = {}) {
  const descriptor = Buffer.alloc(32);
  descriptor.writeUInt32LE(version, 0);
  descriptor.writeUInt32LE(flags, 4);
  [START, LENGTH, ABORT].forEach((word, i) => {
    descriptor.writeBigUInt64LE(word, 8 + 8 * i);
  });
  const pointer = Buffer.alloc(8);
  pointer.writeBigUInt64LE(cell);
  const mark = Buffer.alloc(4);
  mark.writeUInt32LE(signature);
  const places = new Map([
    [AREA + 8n, pointer],
    [DESCRIPTOR, descriptor],
    [ABORT - 4n, mark],
  ]);
  return (address: bigint, size: number): Buffer => {
    const bytes = places.get(address);
    if (bytes?.length !== size) throw new Error('EIO');
    return bytes;
  };
}

for (const [where, rip] of [
  ['at the first instruction', START],
  ['at the last byte', START + LENGTH - 1n],
] as const) {
  test(`a thread in its critical section, ${where}, begins in the abort handler`, (t) => {
    const state = stateAt(rip);
    const { registers, ...rest } = outOfCriticalSection(state, memoryWith());
    const { registers: before, ...same } = state;
    t.deepEqual(decodeRegisters(registers), { ...decodeRegisters(before), rip: ABORT });
    t.deepEqual(rest, same);
  });
}

test('a thread that is not in a critical section stays where it is', (t) => {
  const inside = START + 1n;
  const cases: [string, ThreadState, ReturnType<typeof memoryWith>][] = [
    ['before it', stateAt(START - 1n), memoryWith()],
    ['committed', stateAt(START + LENGTH), memoryWith()],
    ['in a system call', stateAt(inside, {}, 0n), memoryWith()],
    ['none announced', stateAt(inside), memoryWith({ cell: 0n })],
    ['its descriptor is gone', stateAt(inside), memoryWith({ cell: 0x1000n })],
    ['nothing registered', stateAt(inside, { rseq: null }), memoryWith()],
    ['left, and no section at all', stateAt(START - 1n), memoryWith({ version: 1 })],
  ];
  for (const [name, state, memory] of cases) t.is(outOfCriticalSection(state, memory), state, name);
});

test('a signature with its highest bit set is one, too', (t) => {
  const state = stateAt(START, { rseq: { address: AREA, length: 32, signature: 0x8765_4321 | 0 } });
  const { registers } = outOfCriticalSection(state, memoryWith({ signature: 0x8765_4321 }));
  t.is(decodeRegisters(registers).rip, ABORT);
});

test('a section that the kernel would not leave is refused', (t) => {
  for (const fault of [{ version: 1 }, { flags: 1 }, { signature: 1 }]) {
    t.throws(() => outOfCriticalSection(stateAt(START), memoryWith(fault)), {
      instanceOf: TargetError,
      message: /thread 7 is in a restartable sequence/,
    });
  }
});
