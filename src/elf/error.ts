/** A file that is not what the ELF specification says: what is wrong, where in the file, and the bad value. */
export class ElfError extends Error {
  override readonly name = 'ElfError';
  /** Offset in the file, in bytes. */
  readonly offset: number;
  /** The value that makes no sense, where there is one. */
  readonly value: number | bigint | string | undefined;

  constructor(message: string, offset: number, value?: number | bigint | string) {
    const shown = value === undefined ? '' : ` ${typeof value === 'string' ? JSON.stringify(value) : value}`;
    super(`${message}${shown} (at offset ${offset})`);
    this.offset = offset;
    this.value = value;
  }
}
