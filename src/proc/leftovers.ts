/** Pages of our own in a target: the trampoline of an earlier thaw, a scratch mapping left behind by a crash. */
import { decodeRegisters } from '../snapshot/registers.js';
import { leaveStub, STUB_SIZE, stubRemaining } from '../thaw/sleep.js';
import { readTrampoline } from '../thaw/trampoline.js';
import { readMemory, SCRATCH_ADDRESS, SCRATCH_MAGIC, SCRATCH_SIZE_OFFSET } from './infect.js';
import type { Mapping } from './maps.js';

/** A range of addresses that is ours. */
export interface Leftover {
  readonly start: bigint;
  readonly end: bigint;
}

/** A trampoline page with its bytes. */
export interface Trampoline extends Leftover {
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

/**
 * Scratch mappings that an earlier freeze left behind when even its tracer died: at their usual address,
 * or known by the blob's text; and behind it data that begin with the magic and tell their size.
 */
export function findScratch(mem: number, mappings: readonly Mapping[], blob: Uint8Array): Leftover[] {
  const head = Buffer.from(blob.subarray(0, BLOB_HEAD));
  return mappings.flatMap((text, i) => {
    if (!candidate(text) || text.prot !== 5) return [];
    const known = text.start === SCRATCH_ADDRESS;
    if (!known && (text.resident === 0 || !readMemory(mem, text.start, BLOB_HEAD).equals(head))) return [];
    const data = mappings[i + 1];
    if (data?.start !== text.end) return [text];
    const end = scratchEnd(mem, data) ?? (known && candidate(data) ? data.end : text.end);
    return [{ start: text.start, end }];
  });
}

/** Bytes of the blob that tell it: before the place where an image has its header's address. */
export const BLOB_HEAD = 64;

/** The end of a scratch's data, which may be one mapping with what lies above; `null` if it is none. */
function scratchEnd(mem: number, data: Mapping): bigint | null {
  if (data.shared || data.inode !== 0n || data.prot !== 3 || data.resident === 0) return null;
  const head = readMemory(mem, data.start, SCRATCH_SIZE_OFFSET + 8);
  if (head.toString('latin1', 0, SCRATCH_MAGIC.length) !== SCRATCH_MAGIC) return null;
  const end = data.start + head.readBigUInt64LE(SCRATCH_SIZE_OFFSET);
  return end <= data.end ? end : null;
}

/** What is left of the mappings without ranges of our own. */
export function withoutLeftovers(mappings: readonly Mapping[], own: readonly Leftover[]): Mapping[] {
  return mappings.flatMap((mapping) => {
    const range = own.find(({ start, end }) => mapping.start < end && mapping.end > start);
    if (!range) return [mapping];
    return range.end < mapping.end ? [{ ...mapping, start: range.end }] : [];
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
