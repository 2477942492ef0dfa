/** What a file is called by: the same number and device, whatever its names. */
export interface Inode {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** An inode as the key of a map. */
export function inodeKey({ dev, ino }: Inode): string {
  return `${dev} ${ino}`;
}
