/** Holds a process and asks each of its threads, as a freeze does. */
import { closeSync, openSync } from 'node:fs';
import { addon } from '../../src/native/addon.js';
import type { ThreadState, Tracer } from '../../src/native/tracer.js';
import { assertSettled, whenSettled } from '../../src/proc/hold.js';
import { infect, readMemory } from '../../src/proc/infect.js';
import { findScratch, withoutLeftovers } from '../../src/proc/leftovers.js';
import { readMappings } from '../../src/proc/maps.js';
import { processQuery, threadQuery } from '../../src/proc/query.js';
import { isRestarted, withOriginalCall } from '../../src/proc/restarted.js';
import { findGadgets } from '../../src/proc/syscall-gadget.js';
import { decodeRegisters } from '../../src/snapshot/registers.js';

const blob = { bytes: addon.interpreter(), queryEntry: 0x10 };

/** Number of the call that a thread is in, where the kernel shows another. */
function originalCall(mem: number, states: readonly ThreadState[], tid: number): number | undefined {
  const { registers } = states.find((state) => state.tid === tid)!;
  if (!isRestarted(registers)) return undefined;
  const clues = {
    wchan: '',
    readMemory: (address: bigint, size: number) => readMemory(mem, address, size),
  };
  const original = withOriginalCall(registers, clues);
  return original ? Number(decodeRegisters(original).orig_rax) : undefined;
}

/** @param turn which thread makes the calls that map and unmap the scratch */
export function interrogate(tracer: Tracer, pid: number, turn = 0): Promise<void> {
  return whenSettled(tracer, pid, () => ask(tracer, pid, turn));
}

function ask(tracer: Tracer, pid: number, turn: number): void {
  const tids = tracer.seize(pid);
  const mem = openSync(`/proc/${pid}/mem`, 'r+');
  try {
    const states = tids.map((tid) => tracer.state(tid));
    const mappings = readMappings(pid, 'smaps');
    const stray = findScratch(mem, mappings, blob.bytes);
    assertSettled(states, stray);
    const theirs = withoutLeftovers(mappings, stray);
    const { syscall, restorer } = findGadgets(mem, theirs);
    const caller = tids[turn % tids.length]!;
    const stack = mappings.find(({ path }) => path === '[stack]')!;
    tracer.setNet(caller, restorer, stack, originalCall(mem, states, caller));
    for (const { start, end } of stray) tracer.syscall(caller, syscall, 11, [start, end - start]); // munmap
    const infection = infect(tracer, caller, mem, syscall, blob, 65536, theirs);
    infection.ask(states[0]!, (arena) => processQuery(arena, []));
    for (const state of states) infection.ask(state, threadQuery);
    tracer.release('run');
  } finally {
    closeSync(mem);
  }
}
