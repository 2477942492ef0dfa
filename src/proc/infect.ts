/**
 * Runs the query inside the target: a scratch mapping is made, the interpreter blob and the
 * questions are written into it, each thread runs it once. If we die meanwhile, the tracer or, in
 * its absence, the blob's own last call puts the thread back where it was.
 */
import { readSync, writeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { TargetError } from '../errors.js';
import type { ThreadState, Tracer } from '../native/tracer.js';
import { decodeRegisters, encodeRegisters } from '../snapshot/registers.js';
import { Arena } from '../thaw/arena.js';
import { assembleOps } from '../thaw/assembler.js';
import { buildFrame, signalFrameXstate, trimXstate } from '../thaw/frame.js';
import type { Op } from '../thaw/program.js';
import type { Mapping } from './maps.js';
import { xsaveComponents } from './processor.js';
import type { Answers, Query } from './query.js';
import { SYS_RESTART_SYSCALL } from './restarted.js';
import { callState } from './resume.js';

const SYS_MMAP = 9n;
const PROT_READ = 1n;
const PROT_WRITE = 2n;
const PROT_EXEC = 4n;
const MAP_PRIVATE = 2n;
const MAP_FIXED = 0x10n;
const MAP_ANONYMOUS = 0x20n;
/**
 * Where the scratch is mapped if that place is free, as it nearly always is: by this address a later
 * freeze knows it even if we died before anything was written there.
 */
export const SCRATCH_ADDRESS = 0x7032_6500_0000n;
/** First bytes of the scratch's data, by which a later freeze knows a mapping that was left behind. */
export const SCRATCH_MAGIC = 'proc2elf\0scrat\0\x01';
const QUERY_OFFSET = 16;
const QUERY_SIZE = 40;
/** Behind the query: how many bytes of data the scratch has, as the kernel may join it with a neighbour. */
export const SCRATCH_SIZE_OFFSET = QUERY_OFFSET + QUERY_SIZE;
const QUERY_END_SIGRETURN = 0;
const QUERY_END_JUMP = 1;
const STACK = 16384;

/** The interpreter inside the target. */
export interface Infection {
  /** Runs a query in a thread and decodes its answers. */
  ask<T>(state: ThreadState, make: (arena: Arena) => Query<T>): T;
  /** The scratch mapping, not to be captured. */
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * Makes the scratch mapping and loads the blob.
 * @param mem descriptor of `/proc/PID/mem`, open for reading and writing
 * @param gadget address of a `syscall` instruction in the target
 * @param capacity bytes for questions and answers
 */
export function infect(
  tracer: Tracer,
  tid: number,
  mem: number,
  gadget: bigint,
  blob: { bytes: Uint8Array; queryEntry: number },
  capacity: number,
  mappings: readonly Mapping[],
): Infection {
  const textSize = BigInt(Math.ceil(blob.bytes.length / 4096) * 4096);
  const dataSize = BigInt(Math.ceil((capacity + STACK) / 4096) * 4096);
  const size = textSize + dataSize;
  const start = tracer.syscall(tid, gadget, Number(SYS_MMAP), [
    isFree(mappings, SCRATCH_ADDRESS, size) ? SCRATCH_ADDRESS : 0n,
    size,
    PROT_READ | PROT_EXEC,
    MAP_PRIVATE | MAP_ANONYMOUS,
    -1n,
    0n,
  ]);
  if (start < 0n && start > -4096n) throw cannotMap(size, start);
  tracer.setScratch(tid, gadget, start, Number(size));
  // At once: by the blob a later freeze knows the mapping, should nobody be left to remove it.
  writeMemory(mem, start, blob.bytes);
  const data = start + textSize;
  const mapped = tracer.syscall(tid, gadget, Number(SYS_MMAP), [
    data,
    dataSize,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    -1n,
    0n,
  ]);
  if (mapped !== data) throw cannotMap(dataSize, mapped);
  const stackTop = data + dataSize - 64n;

  return {
    start,
    end: start + size,
    ask(state, make) {
      const arena = new Arena(data);
      arena.bytes(Buffer.from(SCRATCH_MAGIC, 'latin1'));
      const query = arena.reserve(QUERY_SIZE);
      const ownSize = arena.cell(dataSize);
      if (query !== data + BigInt(QUERY_OFFSET) || ownSize.cell !== data + BigInt(SCRATCH_SIZE_OFFSET)) {
        throw new Error('the query lies elsewhere');
      }
      const { ops, decode } = make(arena);
      const header = queryHeader(arena, state, ops);
      if (arena.size > capacity)
        throw new Error(`the query needs ${arena.size} bytes, ${capacity} are there`);
      const bytes = Buffer.from(arena.toBytes());
      header.copy(bytes, QUERY_OFFSET);
      writeMemory(mem, data, bytes);
      tracer.run(state.tid, start + BigInt(blob.queryEntry), stackTop, query, true);
      const found = readMemory(mem, data, arena.size);
      const answers: Answers = (address, length) => {
        const at = Number(address - data);
        return found.subarray(at, at + length);
      };
      return decode(answers);
    },
  };
}

function cannotMap(size: bigint, result: bigint): TargetError {
  const error = result < 0n && result > -4096n ? getSystemErrorName(Number(result)) : `it lies at ${result}`;
  return new TargetError(
    `the process cannot map ${size} bytes more: ${error} (its RLIMIT_AS or RLIMIT_DATA, or the memory of the machine, is used up)`,
  );
}

function isFree(mappings: readonly Mapping[], address: bigint, size: bigint): boolean {
  return mappings.every(({ start, end }) => end <= address || start >= address + size);
}

/** `struct query`, with the way back for a target whose tracer is gone. */
function queryHeader(arena: Arena, state: ThreadState, ops: readonly Op[]): Buffer {
  const { address, count } = assembleOps(arena, ops);
  const set = decodeRegisters(state.registers);
  const call = callState(set);
  if (call !== 'none' && call !== 'done') {
    set.rip -= 2n;
    set.rax = call === 'restart-block' ? SYS_RESTART_SYSCALL : set.orig_rax;
  }
  const registers = encodeRegisters(set);
  const xstate = signalFrameXstate(trimXstate(state.xstate, xsaveComponents()));
  const frameAddress = arena.reserve(0, 64);
  const frame = buildFrame(
    frameAddress,
    { registers, signalMask: state.signalMask, alternateStack: null, xstate },
    xstate.length,
  );
  arena.bytes(frame, 64);
  const header = Buffer.alloc(QUERY_SIZE);
  header.writeBigUInt64LE(address, 0);
  header.writeUInt32LE(count, 8);
  header.writeUInt32LE(call === 'restart-block' ? QUERY_END_JUMP : QUERY_END_SIGRETURN, 12);
  header.writeBigUInt64LE(frameAddress, 16);
  header.writeBigUInt64LE(arena.bytes(registers), 24);
  header.writeBigUInt64LE(state.signalMask, 32);
  return header;
}

/** Reads target memory in full. @throws Error with the errno of `/proc/PID/mem` */
export function readMemory(mem: number, address: bigint, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let done = 0;
  while (done < size) {
    const n = readSync(mem, bytes, done, size - done, address + BigInt(done));
    if (n === 0) throw new TargetError('the process has ended');
    done += n;
  }
  return bytes;
}

function writeMemory(mem: number, address: bigint, bytes: Uint8Array): void {
  const position = Number(address);
  let done = 0;
  while (done < bytes.length) {
    const n = writeSync(mem, bytes, done, bytes.length - done, position + done);
    if (n === 0) throw new TargetError('the process has ended');
    done += n;
  }
}
