const FIRST_SLOTS = 1024;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * Which strings lie where in a buffer: a hash table (open addressing, FNV-1a) of their offsets. It keeps no
 * string itself: of a process with ten thousand regions there are a hundred thousand, most of them once.
 */
export class Interned {
  /** Offset + 1 of a string, 0 for a free slot. */
  #offsets = new Uint32Array(FIRST_SLOTS);
  #hashes = new Int32Array(FIRST_SLOTS);
  #count = 0;

  /**
   * The offset of the equal string that came first: `offset` itself if there is none.
   * @param size of the string at `offset`, in bytes with its NUL
   */
  add(content: Buffer, offset: number, size: number): number {
    if (2 * this.#count >= this.#offsets.length) this.#grow();
    const hash = hashOf(content, offset, offset + size);
    const slot = this.#find(hash, (known) =>
      content.subarray(offset, offset + size).equals(content.subarray(known, known + size)),
    );
    const known = this.#offsets[slot]!;
    if (known !== 0) return known - 1;
    this.#put(slot, hash, offset + 1);
    this.#count++;
    return offset;
  }

  /** The slot of an equal string, or the free one where it belongs. */
  #find(hash: number, isEqual: (known: number) => boolean): number {
    const mask = this.#offsets.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const known = this.#offsets[slot]!;
      if (known === 0 || (this.#hashes[slot] === hash && isEqual(known - 1))) return slot;
    }
  }

  #grow(): void {
    const [offsets, hashes] = [this.#offsets, this.#hashes];
    this.#offsets = new Uint32Array(2 * offsets.length);
    this.#hashes = new Int32Array(2 * offsets.length);
    offsets.forEach((offset, i) => {
      if (offset !== 0)
        this.#put(
          this.#find(hashes[i]!, () => false),
          hashes[i]!,
          offset,
        );
    });
  }

  #put(slot: number, hash: number, offset: number): void {
    this.#offsets[slot] = offset;
    this.#hashes[slot] = hash;
  }
}

function hashOf(content: Buffer, start: number, end: number): number {
  let hash = FNV_OFFSET;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ content[i]!, FNV_PRIME);
  return hash | 0;
}
