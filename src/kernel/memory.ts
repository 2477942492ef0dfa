/**
 * Memory of the kernel, to be read and not written: for what it keeps of a process and tells nowhere else. It is read by
 * programs that the kernel itself has checked to be harmless; an address that is no memory is an error, not a crash.
 */
import { closeSync } from 'node:fs';
import { createMap, load, lookUp, MapType, run } from './bpf.js';
import { Btf, BtfError } from './btf.js';
import { currentTask, OUTPUT_SIZE, perCpuValue, readMemory } from './programs.js';

/** There is no memory at an address: what was there is gone, or is not what it was taken for. */
export class KernelFault extends Error {
  override readonly name = 'KernelFault';
}

/** Reads structures of the kernel by the names of their members. */
export class KernelMemory {
  readonly types: Btf;
  readonly #output: number;
  readonly #bytes = Buffer.alloc(OUTPUT_SIZE + 8);
  readonly #reader: number;
  #task: bigint | undefined;
  #offsets: readonly bigint[] | undefined;

  /**
   * @throws Error EPERM without CAP_BPF and CAP_PERFMON or under lockdown, ENOENT where the kernel has no types of its
   * own, ENOSYS without bpf(2)
   */
  constructor() {
    this.types = Btf.ofKernel();
    this.#output = createMap(MapType.ARRAY, OUTPUT_SIZE + 8);
    try {
      this.#reader = load(readMemory(this.#output));
    } catch (error) {
      closeSync(this.#output);
      throw error;
    }
  }

  close(): void {
    closeSync(this.#reader);
    closeSync(this.#output);
  }

  /**
   * Bytes of the kernel.
   * @throws KernelFault where there is no memory
   */
  read(address: bigint, size: number): Buffer {
    const parts: Buffer[] = [];
    for (let done = 0; done < size; done += OUTPUT_SIZE) {
      const part = Math.min(OUTPUT_SIZE, size - done);
      run(this.#reader, address + BigInt(done), BigInt(part));
      lookUp(this.#output, this.#bytes);
      if (this.#bytes.readBigInt64LE(OUTPUT_SIZE) !== 0n) {
        throw new KernelFault(`there is no memory of the kernel at ${address.toString(16)}`);
      }
      parts.push(Buffer.from(this.#bytes.subarray(0, part)));
    }
    return Buffer.concat(parts);
  }

  /** A number of up to eight bytes, or an address. */
  word(address: bigint, size = 8): bigint {
    const bytes = Buffer.alloc(8);
    this.read(address, size).copy(bytes);
    return bytes.readBigUInt64LE();
  }

  /** Address of a member of a structure that lies at `address`. @throws BtfError where there is none */
  place(struct: string, address: bigint, path: string): bigint {
    return address + BigInt(this.types.member(struct, path).offset);
  }

  /** A member of a structure that lies at `address`: an unsigned number. @throws BtfError where there is none */
  member(struct: string, address: bigint, path: string): bigint {
    const { offset, size, bits } = this.types.member(struct, path);
    if (size < 1 || size > 8) throw new BtfError(`in this kernel ${struct}.${path} is no number`);
    const word = this.word(address + BigInt(offset), size);
    return bits === null ? word : (word >> BigInt(bits.from)) & ((1n << BigInt(bits.count)) - 1n);
  }

  /** Address of our own `struct task_struct`. */
  currentTask(): bigint {
    this.#task ??= this.#withProgram(currentTask(this.#output), (answer) => answer());
    return this.#task;
  }

  /**
   * What has to be added to an address that means another place for each processor, for every processor in turn.
   * @param mapOf address of the map that is behind a descriptor of ours
   */
  perCpuOffsets(mapOf: (fd: number) => bigint): readonly bigint[] {
    this.#offsets ??= this.#askPerCpuOffsets(mapOf);
    return this.#offsets;
  }

  #askPerCpuOffsets(mapOf: (fd: number) => bigint): bigint[] {
    const map = createMap(MapType.PERCPU_ARRAY, 8);
    try {
      const base = this.word(this.place('bpf_array', mapOf(map), 'pptrs'));
      return this.#withProgram(perCpuValue(map, this.#output), (answer) => {
        const offsets: bigint[] = [];
        for (;;) {
          const value = answer(BigInt(offsets.length));
          if (value === 0n) return offsets;
          offsets.push(BigInt.asUintN(64, value - base));
        }
      });
    } finally {
      closeSync(map);
    }
  }

  #withProgram<T>(
    instructions: readonly Uint8Array[],
    use: (answer: (...words: bigint[]) => bigint) => T,
  ): T {
    const program = load(instructions);
    try {
      return use((...words) => {
        run(program, ...words);
        lookUp(this.#output, this.#bytes);
        return this.#bytes.readBigUInt64LE();
      });
    } finally {
      closeSync(program);
    }
  }
}
