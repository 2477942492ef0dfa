/** Files that an image opens again by path, put into it with their content of today. */

import { closeSync, constants, fstatSync, openSync, statfsSync } from 'node:fs';
import { filePath } from '../byte-text.js';
import { errnoOf } from '../errno.js';
import { ImageError } from '../errors.js';
import { O } from '../fcntl.js';
import { closeAll, contentOf } from '../proc/content.js';
import { outputEmbedded, STREAMS } from '../proc/descriptors/embedded.js';
import { isMadeUp } from '../proc/descriptors/file-systems.js';
import { sizeProblem } from '../proc/huge-pages.js';
import { deviceName, type ObjectSource } from '../proc/objects.js';
import { followObjects } from '../proc/region-capture.js';
import type { DescriptorTable, OpenFile, OpenFileOf } from '../snapshot/descriptors.js';
import type { MemoryObject, Process, Region } from '../snapshot/schema.js';

/** A process whose last objects are files that were found here. */
export interface Embedding {
  readonly process: Process;
  /** Contents of the last objects, in their order; descriptors are open until {@link Embedding.close}. */
  readonly sources: readonly Required<ObjectSource>[];
  close(): void;
}

/** Whether a file must be embedded, or only where it can be. */
export type Wish = 'this' | 'any';

interface Found {
  readonly object: MemoryObject;
  readonly source: Required<ObjectSource>;
}

/** Warns of what the program prints into files that were embedded. @param before the table without those */
export function warnOfOutput(before: DescriptorTable, after: DescriptorTable, warnings: string[]): void {
  const told = new Set<number>();
  for (const { fd, file: index } of [...before.descriptors].sort((a, b) => a.fd - b.fd)) {
    const [file, now] = [before.files[index]!, after.files[index]!];
    if (fd >= STREAMS || told.has(index) || file.kind !== 'file' || now.kind !== 'object') continue;
    told.add(index);
    if ((file.flags & O.ACCMODE) !== O.RDONLY) warnings.push(outputEmbedded(fd, file.path));
  }
}

/**
 * Embeds files, which must be what they were at the freeze as far as a thaw would ask for that.
 * @param wishes by path, as the process has it
 * @throws ImageError for a file that is gone, has changed, or cannot be read
 */
export function embedFiles(process: Process, wishes: ReadonlyMap<string, Wish>): Embedding {
  const found: Found[] = [];
  const indexes = new Map<string, number>();
  const close = (): void => closeAll(found.map(({ source }) => source.fd));
  try {
    for (const [path, wish] of wishes) {
      if (!isOpened(process, path)) continue; // something else was chosen for its descriptors
      const one = openFile(path, wish);
      if (!one) continue;
      const { device, inode } = one.object;
      const known = found.findIndex(({ object }) => object.device === device && object.inode === inode);
      if (known >= 0) closeSync(one.source.fd);
      else found.push(one);
      indexes.set(path, process.objects.length + (known >= 0 ? known : found.length - 1));
    }
    const objects = [...process.objects, ...found.map(({ object }) => object)];
    const sources = found.map(({ source }) => source);
    const stampOf = (index: number) => sources[index - process.objects.length]!.stamp;
    const files = process.descriptors.files.map((file): OpenFile => {
      const object = file.kind === 'file' && file.type === 'regular' ? indexes.get(file.path) : undefined;
      if (file.kind !== 'file' || object === undefined) return file;
      assertSame(file, stampOf(object));
      const { flags, locks, offset, signals, lease } = file;
      if (lease) throw new ImageError(`cannot embed ${file.path}: it has a lease, which memory cannot have`);
      return { kind: 'object', flags, locks, object, offset, ...(signals ? { signals } : {}) };
    });
    const mapped = rewriteMappings(process, objects, indexes);
    return {
      process: { ...process, ...mapped, objects, descriptors: { ...process.descriptors, files } },
      sources,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function isOpened({ descriptors, mappedFiles }: Process, path: string): boolean {
  return (
    mappedFiles.some((file) => file.path === path) ||
    descriptors.files.some((file) => file.kind === 'file' && file.path === path)
  );
}

function openFile(path: string, wish: Wish): Found | null {
  const refuse = (why: string, cause?: unknown) => new ImageError(`cannot embed ${path}: ${why}`, { cause });
  let fd: number;
  try {
    if (isMadeUp(statfsSync(filePath(path)).type)) {
      if (wish === 'any') return null;
      throw refuse('its content is made up by the kernel');
    }
    fd = openSync(filePath(path), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    throw error instanceof ImageError ? error : refuse(errnoOf(error) ?? String(error), error);
  }
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile()) throw refuse('it is no longer a regular file');
    const content = contentOf(fd);
    const uneven = sizeProblem(content.size, content.pageSize);
    if (uneven !== null) throw refuse(uneven);
    return {
      object: {
        kind: 'embedded-file',
        name: path,
        device: deviceName(stat.dev),
        inode: stat.ino,
        mode: Number(stat.mode) & 0o7777,
        seals: 0,
        owner: { uid: Number(stat.uid), gid: Number(stat.gid) },
        times: { accessed: stat.atimeNs, modified: stat.mtimeNs },
        ...content,
      },
      source: { fd, base: 0n, stamp: { path, size: stat.size, modified: stat.mtimeNs } },
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** What `src/thaw/descriptors/file.ts` asks of a file when it is opened again. */
function assertSame(
  { path, size, modified: then }: OpenFileOf<'file'>,
  { size: found, modified: now }: Required<ObjectSource>['stamp'],
): void {
  const rounded = then !== null && now === then - (then % 1_000_000_000n);
  const same = then === null ? found >= size : found === size && (now === then || rounded);
  if (same) return;
  const why = then === null ? `it is shorter than the ${size} bytes it had` : 'it has been modified';
  throw new ImageError(`cannot embed ${path}: ${why} since the freeze`);
}

/** Mappings of an embedded file become mappings of its object. */
function rewriteMappings(
  process: Process,
  objects: readonly MemoryObject[],
  indexes: ReadonlyMap<string, number>,
): Pick<Process, 'regions' | 'mappedFiles'> {
  const { mappedFiles } = process;
  const kept = mappedFiles.filter(({ path }) => !indexes.has(path));
  const regions = process.regions.map((region): Region => {
    if (region.backing.kind !== 'file') return region;
    const file = mappedFiles[region.backing.file]!;
    const object = indexes.get(file.path);
    if (object === undefined) return { ...region, backing: { kind: 'file', file: kept.indexOf(file) } };
    if (objects[object]!.size < file.size)
      throw new ImageError(`cannot embed ${file.path}: it is shorter than what the process maps of it`);
    return { ...region, backing: { kind: 'object', object } };
  });
  return { regions: followObjects(regions, { objects }), mappedFiles: kept };
}
