import { bytesOfText } from '../byte-text.js';
import type { Process, Region, Thread } from '../snapshot/schema.js';

/** Sizes of `struct elf_prstatus`, `struct elf_prpsinfo` (x86-64, `<sys/procfs.h>`). */
const PRSTATUS_SIZE = 336;
const PRPSINFO_SIZE = 136;

/** `struct user_fpregs_struct` is the legacy region of an XSAVE area. */
const FPREGSET_SIZE = 512;

/** `struct elf_prstatus` of a thread. */
export function prstatus(process: Process, thread: Thread): Uint8Array {
  const out = Buffer.alloc(PRSTATUS_SIZE);
  out.writeBigUInt64LE(pendingMask(thread.pendingSignals), 16);
  out.writeBigUInt64LE(thread.signalMask, 24);
  // The leader's number is the process's; the others have their own.
  [thread.tid, process.parent, process.group, process.session].forEach((id, i) => {
    out.writeInt32LE(id, 32 + 4 * i);
  });
  out.set(thread.registers, 112);
  out.writeInt32LE(1, 328); // pr_fpvalid
  return out;
}

/** `struct elf_prpsinfo` of a process. */
export function prpsinfo(process: Process): Uint8Array {
  const out = Buffer.alloc(PRPSINFO_SIZE);
  out.write('R', 1, 'latin1'); // pr_sname, beside pr_state 0
  out.writeInt8(process.threads[0]?.nice ?? 0, 3);
  out.writeUInt32LE(process.credentials.uids[0] ?? 0, 16);
  out.writeUInt32LE(process.credentials.gids[0] ?? 0, 20);
  [process.pid, process.parent, process.group, process.session].forEach((id, i) => {
    out.writeInt32LE(id, 24 + 4 * i);
  });
  // Both strings end in a NUL, cut where they are too long.
  bytesOfText(process.comm).copy(out, 40, 0, 15);
  bytesOfText(process.commandLine.join(' ')).copy(out, 56, 0, 79);
  return out;
}

/** The floating-point registers of a thread, or nothing where its XSAVE area is too short. */
export function fpregset(thread: Thread): Uint8Array | undefined {
  return thread.xstate.length < FPREGSET_SIZE ? undefined : thread.xstate.subarray(0, FPREGSET_SIZE);
}

/**
 * `NT_FILE`: the mapped files. Count and page size, then start, end and offset in pages of each,
 * then their names.
 */
export function fileMappings(regions: readonly Region[]): Uint8Array {
  const mapped = regions.filter((region) => region.path.startsWith('/'));
  const pageSize = 4096n;
  const words = [BigInt(mapped.length), pageSize];
  for (const { start, end, offset } of mapped) words.push(start, end, offset / pageSize);
  const names = mapped.map(({ path }) => bytesOfText(`${path}\0`));
  return Buffer.concat([new Uint8Array(BigUint64Array.from(words).buffer), ...names]);
}

/** A set of signals as the bits of pending ones; `si_signo` is a siginfo's first word. */
function pendingMask(pending: readonly Uint8Array[]): bigint {
  let mask = 0n;
  for (const siginfo of pending) {
    const signal = new DataView(siginfo.buffer, siginfo.byteOffset).getInt32(0, true);
    if (signal >= 1 && signal <= 64) mask |= 1n << BigInt(signal - 1);
  }
  return mask;
}
