/** The last act: signal frames of all threads, the trampoline page, and what FINISH needs to know. */
import type { Processor, Thread } from '../snapshot/schema.js';
import type { Range } from './addresses.js';
import type { Arena } from './arena.js';
import { buildFrame, FPSTATE_OFFSET } from './frame.js';
import type { Cell } from './program.js';
import { buildStub, STUB_SIZE } from './sleep.js';
import { layoutTrampoline, type TrampolineLayout, trampolineTemplate } from './trampoline.js';

/** Room for the XSAVE area of any processor without AMX (Intel's ends at 2696), and FP_XSTATE_MAGIC2. */
const USUAL_XSTATE = 2704;

/** Bytes to reserve for XSAVE areas: what was captured may need more than usual. */
export function xstateCapacity(threads: readonly Thread[]): number {
  const largest = Math.max(...threads.map((thread) => thread.xstate.length + 4));
  return Math.max(USUAL_XSTATE, Math.ceil(largest / 16) * 16);
}

/** How many threads go on in a sleep stub. */
export function countStubs(threads: readonly Thread[]): number {
  return threads.filter((thread) => buildStub(0n, thread) !== null).length;
}

/** Lays out the trampoline for these threads. */
export function planTrampoline(threads: readonly Thread[]): TrampolineLayout {
  return layoutTrampoline(xstateCapacity(threads), countStubs(threads));
}

/** Frames and stubs of all threads. */
export interface Frames {
  /** Address of each thread's frame, in the order of the threads. */
  readonly frames: readonly { readonly address: bigint; readonly xstatePlan: bigint }[];
  readonly template: Uint8Array;
  readonly frameSize: number;
}

/** Builds every thread's frame in the arena; stubs go into the trampoline at `page`. */
export function planFrames(
  arena: Arena,
  threads: readonly Thread[],
  processor: Processor,
  page: bigint,
  layout: TrampolineLayout,
): Frames {
  const capacity = xstateCapacity(threads);
  const components = arena.bytes(componentTable(processor));
  const stubs: Uint8Array[] = [];
  const frames = threads.map((thread) => {
    const stub = buildStub(page + BigInt(layout.stubOffset + stubs.length * STUB_SIZE), thread);
    if (stub) stubs.push(stub.stub);
    const address = arena.reserve(0, 64);
    const { address: stack, flags, size } = thread.alternateStack;
    const frame = buildFrame(
      address,
      {
        registers: stub?.registers ?? thread.registers,
        signalMask: thread.signalMask,
        alternateStack: { address: stack, flags, size },
        xstate: thread.xstate,
      },
      capacity,
    );
    arena.bytes(frame, 64);
    const plan = Buffer.alloc(24);
    plan.writeBigUInt64LE(address + BigInt(FPSTATE_OFFSET), 0);
    plan.writeUInt32LE(thread.xstate.length, 8);
    plan.writeUInt32LE(capacity, 12);
    plan.writeBigUInt64LE(components, 16);
    return { address, xstatePlan: arena.bytes(plan) };
  });
  return { frames, template: trampolineTemplate(layout, stubs), frameSize: FPSTATE_OFFSET + capacity };
}

/** `struct xstate_component[64]`. */
function componentTable(processor: Processor): Uint8Array {
  const table = Buffer.alloc(64 * 8);
  processor.components.slice(0, 64).forEach(({ offset, size }, i) => {
    table.writeUInt32LE(offset, i * 8);
    table.writeUInt32LE(size, i * 8 + 4);
  });
  return table;
}

/** `struct finish_plan` in the arena; its address. */
export function finishPlan(
  arena: Arena,
  plan: {
    page: bigint;
    layout: TrampolineLayout;
    frames: Frames;
    unmap: readonly Range[];
    dumpable: number;
    tids: readonly Cell[];
    gate: bigint;
    /** The other threads: whether each makes a system call again. */
    again: readonly boolean[];
  },
): bigint {
  const pairs = Buffer.alloc(plan.unmap.length * 16);
  plan.unmap.forEach(({ start, end }, i) => {
    pairs.writeBigUInt64LE(start, i * 16);
    pairs.writeBigUInt64LE(end - start, i * 16 + 8);
  });
  const cells = Buffer.alloc(plan.tids.length * 8);
  plan.tids.forEach(({ cell }, i) => {
    cells.writeBigUInt64LE(cell, i * 8);
  });
  const again = Buffer.alloc(plan.again.length * 8);
  plan.again.forEach((is, i) => {
    again.writeUInt8(Number(is), i * 8);
  });
  const words = [
    plan.page,
    BigInt(plan.layout.size),
    arena.bytes(plan.frames.template),
    BigInt(plan.frames.template.length),
    BigInt(plan.layout.codeOffset),
    BigInt(plan.layout.frameOffset),
    plan.frames.frames[0]!.address,
    BigInt(plan.frames.frameSize),
    arena.bytes(pairs),
    BigInt(plan.unmap.length),
    BigInt(plan.dumpable),
    arena.bytes(cells),
    BigInt(plan.tids.length),
    plan.gate,
    arena.bytes(again),
  ];
  const bytes = Buffer.alloc(words.length * 8);
  words.forEach((word, i) => {
    bytes.writeBigUInt64LE(word, i * 8);
  });
  return arena.bytes(bytes);
}
