/** The last acts of the threads of a test's image: frames, RESUME for each, FINISH for the leader. */

import { encodeRegisters, REGISTERS, type RegisterSet } from '../../../src/snapshot/registers.js';
import type { Range } from '../../../src/thaw/addresses.js';
import type { Arena } from '../../../src/thaw/arena.js';
import { MapFlag, mapFixed, Prot } from '../../../src/thaw/calls.js';
import { finishPlan } from '../../../src/thaw/finish.js';
import { buildFrame, FPSTATE_OFFSET } from '../../../src/thaw/frame.js';
import type { Cell, Op, Program } from '../../../src/thaw/program.js';
import { layoutTrampoline, trampolineTemplate } from '../../../src/thaw/trampoline.js';
import type { LoadSegment } from './elf.js';
import { place } from './image.js';

export const CODE = 0x2000_0000n;
/** Memory that the code may write, and stacks. */
export const WORK = 0x2010_0000n;
const WORK_SIZE = 0x100_0000;
const CAPACITY = 2752;

/** A component of an XSAVE area: offset and size in bytes. */
export interface Component {
  readonly offset: number;
  readonly size: number;
}

export interface ThreadSpec {
  /** Those that are not said are 0; the segment selectors are right. */
  readonly registers: Partial<RegisterSet>;
  /** XSAVE area as captured; without it the initial state. */
  readonly xstate?: Uint8Array;
  readonly signalMask?: bigint;
}

/** x87, SSE and everything else in its initial state. */
export function initialXstate(size = 576): Buffer {
  const area = Buffer.alloc(size);
  area.writeUInt16LE(0x37f, 0);
  area.writeUInt32LE(0x1f80, 24);
  return area;
}

/** Segments with code at `CODE` and zeroed memory at `WORK`. */
export function codeSegments(code: Uint8Array): LoadSegment[] {
  return [
    { address: CODE, bytes: code, flags: 5 },
    { address: WORK, bytes: new Uint8Array(4096), memorySize: WORK_SIZE, flags: 6 },
  ];
}

/** Everything of a test's image but its code and memory, for `unmap`. */
export const thawRanges: readonly Range[] = [
  { start: place.text, end: place.data },
  { start: place.data, end: place.page },
];

export interface LastActs {
  /** Conversion of the leader's vector registers, then the start of the other threads. */
  readonly begin: Op[];
  /** The leader's FINISH. */
  readonly finish: Op;
  /** Those of the other threads, to stand behind program 0. */
  readonly programs: Program[];
}

/** Plans the end of a test's image. Programs 1 and following must be `programs`. */
export function lastActs(
  arena: Arena,
  threads: readonly ThreadSpec[],
  options: {
    components?: readonly Component[];
    dumpable?: number;
    unmap?: readonly Range[];
    capacity?: number;
  } = {},
): LastActs {
  const { components = [], dumpable = 1, unmap = thawRanges, capacity = CAPACITY } = options;
  const table = Buffer.alloc(512);
  components.forEach(({ offset, size }, i) => {
    table.writeUInt32LE(offset, i * 8);
    table.writeUInt32LE(size, i * 8 + 4);
  });
  const tableAddress = arena.bytes(table);
  const frames = threads.map((thread) => placeFrame(arena, thread, tableAddress, capacity));
  const tids: Cell[] = threads.map(() => arena.cell());
  const gate = arena.reserve(8);
  const barrier = arena.reserve(8);
  const ready: Op = { op: 'barrier', address: barrier, parties: threads.length };
  const convert = (i: number): Op => ({
    op: 'builtin',
    name: 'convert_xstate',
    args: [frames[i]!.plan],
    label: 'cannot convert',
  });
  const layout = layoutTrampoline(capacity, 0);
  const plan = finishPlan(arena, {
    page: place.page,
    layout,
    frames: {
      frames: frames.map(({ address, plan: xstatePlan }) => ({ address, xstatePlan })),
      template: trampolineTemplate(layout, []),
      frameSize: FPSTATE_OFFSET + capacity,
    },
    unmap,
    dumpable,
    tids: tids.slice(1),
    gate,
    again: tids.slice(1).map(() => false),
  });
  const others = threads.slice(1);
  return {
    begin: [
      mapFixed(
        { start: place.page, end: place.page + BigInt(layout.size) },
        Prot.READ | Prot.WRITE,
        MapFlag.PRIVATE | MapFlag.ANONYMOUS,
        -1,
        0,
        {},
      ),
      convert(0),
      ...others.map(
        (_, i): Op => ({
          op: 'spawn',
          program: i + 1,
          tid: 0,
          stackTop: place.threadStack(i),
          result: tids[i + 1]!,
        }),
      ),
      ready,
    ],
    finish: { op: 'builtin', name: 'finish', args: [plan], label: 'cannot finish' },
    programs: others.map((_, i) => ({
      name: `thread ${i + 1}`,
      ops: [convert(i + 1), ready, { op: 'builtin', name: 'resume', args: [frames[i + 1]!.address, gate] }],
    })),
  };
}

function placeFrame(
  arena: Arena,
  { registers, xstate = initialXstate(), signalMask = 0n }: ThreadSpec,
  components: bigint,
  capacity: number,
): { address: bigint; plan: bigint } {
  const set = Object.fromEntries(REGISTERS.map((name) => [name, 0n])) as RegisterSet;
  const address = arena.reserve(0, 64);
  arena.bytes(
    buildFrame(
      address,
      {
        registers: encodeRegisters({ ...set, cs: 0x33n, ss: 0x2bn, eflags: 0x202n, ...registers }),
        signalMask,
        alternateStack: null,
        xstate,
      },
      capacity,
    ),
    64,
  );
  const plan = Buffer.alloc(24);
  plan.writeBigUInt64LE(address + BigInt(FPSTATE_OFFSET), 0);
  plan.writeUInt32LE(xstate.length, 8);
  plan.writeUInt32LE(capacity, 12);
  plan.writeBigUInt64LE(components, 16);
  return { address, plan: arena.bytes(plan) };
}
