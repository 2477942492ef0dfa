/** bpf(2), as far as programs are run at once that only look. */
import { errnoOf } from '../errno.js';
import { addon } from '../native/addon.js';

const NR_BPF = 321;
/** `enum bpf_cmd` of linux/bpf.h. */
const Command = { MAP_CREATE: 0, MAP_LOOKUP_ELEM: 1, PROG_LOAD: 5, PROG_TEST_RUN: 10 } as const;
const BPF_PROG_TYPE_RAW_TRACEPOINT = 17;
/** The structure grows with the kernels; what is not given is 0. */
const ATTR_SIZE = 128;
/** Of the program, which is our own: what reads memory of the kernel is for such alone. */
const LICENSE = Buffer.from('Dual MIT/GPL\0');

/** So often is a program loaded: the kernel gives up checking it when a signal comes. */
const MOST_LOADS = 100;

/** `enum bpf_map_type`. */
export const MapType = { ARRAY: 2, PERCPU_ARRAY: 6 } as const;

/** A number of 32 bits, or the address of memory, by its offset in `union bpf_attr`. */
type Attribute = readonly [offset: number, value: number | Uint8Array];

function bpf(command: number, attributes: readonly Attribute[]): number {
  const attr = Buffer.alloc(ATTR_SIZE);
  const memory: Uint8Array[] = [];
  for (const [offset, value] of attributes) {
    if (typeof value === 'number') attr.writeUInt32LE(value, offset);
    else {
      attr.writeBigUInt64LE(addon.address(value), offset);
      memory.push(value);
    }
  }
  // The kernel takes three arguments. The memory is among them so that nothing collects it before.
  return Number(addon.syscall(NR_BPF, command, attr, attr.length, ...memory));
}

/** A map of one value. Returns its descriptor. @throws EPERM without CAP_BPF */
export function createMap(type: number, valueSize: number): number {
  return bpf(Command.MAP_CREATE, [
    [0, type],
    [4, 4],
    [8, valueSize],
    [12, 1],
  ]);
}

/** Reads the value of a map. */
export function lookUp(map: number, value: Uint8Array): void {
  const key = new Uint8Array(4);
  bpf(Command.MAP_LOOKUP_ELEM, [
    [0, map],
    [8, key],
    [16, value],
  ]);
}

/**
 * Loads a program that {@link run} runs. Returns its descriptor.
 * @throws EPERM without CAP_BPF and CAP_PERFMON, or where the kernel keeps its memory secret (lockdown)
 */
export function load(instructions: readonly Uint8Array[]): number {
  const program = Buffer.concat(instructions);
  for (let left = MOST_LOADS; ; left--) {
    try {
      return bpf(Command.PROG_LOAD, [
        [0, BPF_PROG_TYPE_RAW_TRACEPOINT],
        [4, program.length / 8],
        [8, program],
        [16, LICENSE],
      ]);
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN' || left === 0) throw error;
    }
  }
}

/** Runs a program once, with words that it finds where its first register points. */
export function run(program: number, ...words: bigint[]): void {
  const context = new Uint8Array(BigUint64Array.from(words).buffer);
  bpf(Command.PROG_TEST_RUN, [
    [0, program],
    [40, context.length],
    [48, context],
  ]);
}

/** One instruction, 8 bytes: linux/bpf.h and https://docs.kernel.org/bpf/standardization/instruction-set.html. */
export function instruction(
  code: number,
  {
    to = 0,
    from = 0,
    offset = 0,
    value = 0,
  }: { to?: number; from?: number; offset?: number; value?: number },
): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8((from << 4) | to, 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(value, 4);
  return bytes;
}
