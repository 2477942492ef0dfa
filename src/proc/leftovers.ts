/** Pages of our own in a target: the trampoline of an earlier thaw, a scratch mapping left behind by a crash. */
import { decodeRegisters } from '../snapshot/registers.js';
import { leaveStub, STUB_SIZE, stubRemaining } from '../thaw/sleep.js';
import { readTrampoline } from '../thaw/trampoline.js';
import { readMemory, SCRATCH_MAGIC } from './infect.js';
import type { Mapping } from './maps.js';

/** A trampoline page with its bytes. */
export interface Trampoline {
  readonly start: bigint;
  readonly end: bigint;
  readonly bytes: Buffer;
  readonly stubOffset: number;
  readonly stubCount: number;
}

const LARGEST = 1n << 20n;

/** Whether a mapping may be ours: small enough to look into, nameless, private and executable or ours by its data. */
function candidate(mapping: Mapping): boolean {
  return (
    !mapping.shared && mapping.inode === 0n && mapping.path === '' && mapping.end - mapping.start <= LARGEST
  );
}

/** The trampolines among the mappings. */
export function findTrampolines(mem: number, mappings: readonly Mapping[]): Trampoline[] {
  return mappings.flatMap((mapping) => {
    if (!candidate(mapping) || mapping.prot !== 5) return [];
    const bytes = readMemory(mem, mapping.start, Number(mapping.end - mapping.start));
    const page = readTrampoline(bytes);
    return page ? [{ start: mapping.start, end: mapping.end, bytes, ...page }] : [];
  });
}

/** Scratch mappings that an earlier freeze left behind when it died: text and data lie side by side. */
export function findScratch(mem: number, mappings: readonly Mapping[]): { start: bigint; end: bigint }[] {
  return mappings.flatMap((mapping, i) => {
    if (!candidate(mapping) || mapping.prot !== 3 || mapping.resident === 0) return [];
    const head = readMemory(mem, mapping.start, SCRATCH_MAGIC.length).toString('latin1');
    if (head !== SCRATCH_MAGIC) return [];
    const text = mappings[i - 1];
    const start = text && text.end === mapping.start && text.prot === 5 ? text.start : mapping.start;
    return [{ start, end: mapping.end }];
  });
}

/** Registers of a thread as if it stood in its own code, where it was frozen in a stub of a trampoline. */
export function outOfTrampoline(
  registers: Uint8Array,
  trampolines: readonly Trampoline[],
): { registers: Uint8Array; remaining: bigint | null } {
  const { rip } = decodeRegisters(registers);
  const page = trampolines.find(({ start, end }) => rip >= start && rip < end);
  if (!page) return { registers, remaining: null };
  const first = page.start + BigInt(page.stubOffset);
  const index = Number((rip - first) / BigInt(STUB_SIZE));
  if (rip < first || index >= page.stubCount) return { registers, remaining: null };
  const at = page.stubOffset + index * STUB_SIZE;
  const stub = page.bytes.subarray(at, at + STUB_SIZE);
  return {
    registers: leaveStub(registers, stub, page.start + BigInt(at)),
    remaining: stubRemaining(stub),
  };
}
