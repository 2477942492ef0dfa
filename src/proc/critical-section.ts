/**
 * Critical sections of restartable sequences (rseq(2), kernel/rseq.c). A thread that loses its processor
 * within one is sent to the section's abort handler before it goes on. A thawed thread has lost its own for
 * good: it begins in the handler. The kernel would not see to that, as registering the area again forgets
 * the section.
 */
import { TargetError } from '../errors.js';
import type { ThreadState } from '../native/tracer.js';
import { decodeRegisters, encodeRegisters } from '../snapshot/registers.js';

/** `rseq_cs` in `struct rseq` of linux/rseq.h. */
const CELL_OFFSET = 8n;
/** `struct rseq_cs`: version and flags, 4 bytes each, then three words. */
const DESCRIPTOR_SIZE = 32;
/** It stands right before the abort handler. */
const SIGNATURE_SIZE = 4;

type ReadMemory = (address: bigint, size: number) => Buffer;

/**
 * A thread with the registers that the kernel would let it go on with: those of the abort handler, if it was
 * stopped in a critical section. The target is not changed.
 * @param readMemory reads the target's memory; throws where there is none
 * @throws TargetError if the section is one for which the kernel ends the process
 */
export function outOfCriticalSection(state: ThreadState, readMemory: ReadMemory): ThreadState {
  const set = decodeRegisters(state.registers);
  const inCall = BigInt.asIntN(64, set.orig_rax) >= 0n;
  const section = state.rseq && !inCall ? sectionAt(state.rseq.address, readMemory) : null;
  if (!section || BigInt.asUintN(64, set.rip - section.start) >= section.length) return state;
  if (section.version !== 0 || section.flags !== 0 || !isSigned(section.abort, state, readMemory)) {
    throw new TargetError(
      `thread ${state.tid} is in a restartable sequence that this kernel does not accept: it is about to end with SIGSEGV`,
    );
  }
  return { ...state, registers: encodeRegisters({ ...set, rip: section.abort }) };
}

/** The section that the thread has announced, which it may have left since; `null` for none. */
function sectionAt(area: bigint, readMemory: ReadMemory) {
  const address = read(area + CELL_OFFSET, 8, readMemory)?.readBigUInt64LE() ?? 0n;
  const bytes = address === 0n ? null : read(address, DESCRIPTOR_SIZE, readMemory);
  return (
    bytes && {
      version: bytes.readUInt32LE(0),
      flags: bytes.readUInt32LE(4),
      start: bytes.readBigUInt64LE(8),
      length: bytes.readBigUInt64LE(16),
      abort: bytes.readBigUInt64LE(24),
    }
  );
}

/** A handler without the registered signature may be anything: the kernel does not jump there. */
function isSigned(abort: bigint, { rseq }: ThreadState, readMemory: ReadMemory): boolean {
  const found = read(abort - BigInt(SIGNATURE_SIZE), SIGNATURE_SIZE, readMemory)?.readUInt32LE();
  return found === (rseq?.signature ?? 0) >>> 0;
}

/** `null` where nothing can be read, such as the descriptor of a library that is gone. */
function read(address: bigint, size: number, readMemory: ReadMemory): Buffer | null {
  try {
    return readMemory(address, size);
  } catch {
    return null;
  }
}
