/** Memory that several mappings and descriptors may share: each such object is captured once. */
import { fstatSync } from 'node:fs';
import { TargetError } from '../errors.js';
import type { MemoryObject } from '../snapshot/schema.js';

/** Where the content of an object is copied from. */
export interface ObjectSource {
  /** Descriptor to copy from; stays open until the image is written. */
  readonly fd: number;
  /** Offset or address in it of the object's first byte. */
  readonly base: bigint;
  /** What `fd` was like, where others may write to it while it is copied. */
  readonly stamp?: { readonly path: string; readonly size: bigint; readonly modified: bigint };
}

/** What tells objects apart: device as in `/proc/PID/maps` (`00:01`), and inode number. */
export type ObjectKey = Pick<MemoryObject, 'device' | 'inode'>;

/** The memory objects of a process, in the order in which they were found. */
export class ObjectTable {
  readonly #objects: MemoryObject[] = [];
  readonly #sources: ObjectSource[] = [];
  readonly #indexes = new Map<string, number>();

  get objects(): readonly MemoryObject[] {
    return this.#objects;
  }

  /** In the order of {@link objects}. */
  get sources(): readonly ObjectSource[] {
    return this.#sources;
  }

  /** Index of a known object, or `null`. */
  find(key: ObjectKey): number | null {
    return this.#indexes.get(keyOf(key)) ?? null;
  }

  /** Index of the object, which is added if it is not known; a known one stays as it is. */
  intern(object: MemoryObject, source: ObjectSource): number {
    const known = this.find(object);
    if (known !== null) return known;
    this.#indexes.set(keyOf(object), this.#objects.length);
    this.#sources.push(source);
    return this.#objects.push(object) - 1;
  }

  /** Like {@link intern}, but this description and source take the place of known ones. */
  replace(object: MemoryObject, source: ObjectSource): number {
    const index = this.intern(object, source);
    this.#objects[index] = object;
    this.#sources[index] = source;
    return index;
  }
}

function keyOf({ device, inode }: ObjectKey): string {
  return `${device} ${inode}`;
}

/** A device number of stat(2) as `/proc/PID/maps` writes it: major and minor in hexadecimal, two digits at least. */
export function deviceName(device: bigint): string {
  const { major, minor } = deviceNumbers(device);
  return `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
}

/** major(3) and minor(3) of a device number of stat(2). */
export function deviceNumbers(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    minor: Number((device & 0xffn) | ((device >> 12n) & 0xffff_ff00n)),
  };
}

/** Whoever else writes to a file that was copied must not have done so meanwhile. @throws TargetError */
export function assertUnchanged(sources: readonly ObjectSource[]): void {
  for (const { fd, stamp } of sources) {
    if (!stamp) continue;
    const { size, mtimeNs } = fstatSync(fd, { bigint: true });
    if (size !== stamp.size || mtimeNs !== stamp.modified)
      throw new TargetError(`another process has written to ${stamp.path} while it was copied: try again`);
  }
}
