/** The least ELF executable that the kernel starts: a header and PT_LOADs. */

export interface LoadSegment {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** Bytes in memory; what the file does not have is zero. */
  readonly memorySize?: number;
  /** PF_X 1 | PF_W 2 | PF_R 4. */
  readonly flags: number;
}

const HEADER = 64;
const PROGRAM_HEADER = 56;
const PAGE = 4096;

/** Bytes of an ET_EXEC file; segments ascend in address, each at the start of a page. */
export function buildElf(entry: bigint, segments: readonly LoadSegment[]): Buffer {
  const header = Buffer.alloc(PAGE);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(2, 16); // ET_EXEC
  header.writeUInt16LE(62, 18); // EM_X86_64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(entry, 24);
  header.writeBigUInt64LE(BigInt(HEADER), 32);
  header.writeUInt16LE(HEADER, 52);
  header.writeUInt16LE(PROGRAM_HEADER, 54);
  header.writeUInt16LE(segments.length, 56);
  const chunks: Buffer[] = [header];
  let offset = PAGE;
  segments.forEach(({ address, bytes, memorySize, flags }, i) => {
    const at = HEADER + i * PROGRAM_HEADER;
    header.writeUInt32LE(1, at); // PT_LOAD
    header.writeUInt32LE(flags, at + 4);
    header.writeBigUInt64LE(BigInt(offset), at + 8);
    header.writeBigUInt64LE(address, at + 16);
    header.writeBigUInt64LE(address, at + 24);
    header.writeBigUInt64LE(BigInt(bytes.length), at + 32);
    header.writeBigUInt64LE(BigInt(memorySize ?? bytes.length), at + 40);
    header.writeBigUInt64LE(BigInt(PAGE), at + 48);
    const padded = Buffer.alloc(Math.ceil(bytes.length / PAGE) * PAGE);
    padded.set(bytes);
    chunks.push(padded);
    offset += padded.length;
  });
  return Buffer.concat(chunks);
}
