/** Makes another image of an image: planned anew from the snapshot in it, with the same contents. */
import { statSync } from 'node:fs';
import { ImageError, UsageError } from '../errors.js';
import type { ImageChunk, ImageCopy } from '../image/layout.js';
import { readMemory } from '../image/memory.js';
import { openRegular } from '../image/open.js';
import { prepareOutput } from '../image/output.js';
import { type Image, readImage } from '../image/read.js';
import { writeContents } from '../image/write.js';
import { addon } from '../native/addon.js';
import { assertUnchanged } from '../proc/objects.js';
import { checkConsistency } from '../snapshot/consistency.js';
import type { Process, Snapshot } from '../snapshot/schema.js';
import { makeBlob } from '../thaw/blob.js';
import { planImage } from '../thaw/plan.js';
import type { ImageChanges } from './changes.js';
import { rewriteConnections } from './connections.js';
import { rewriteDescriptors } from './descriptors.js';
import { type Embedding, embedFiles, warnOfOutput } from './embed.js';
import { rewriteEnvironment } from './environment.js';
import { withoutUnusedFolders } from './folders.js';
import { rewritePaths } from './paths.js';
import { reopenFiles } from './reopen.js';

/** What was written, in bytes. */
export interface RewriteReport {
  readonly output: string;
  /** Size of the image, holes included. */
  readonly bytes: number;
  /** What it takes on disk; 0 for a stream. */
  readonly bytesOnDisk: number;
  /** What is lost by the changes, beside what was said. */
  readonly warnings: readonly string[];
}

const PAGE = 4096n;

/**
 * Writes a changed copy of an image; the image itself stays as it is.
 * @param path of the image
 * @param output file to make or replace, `-` for stdout
 * @throws ImageError, UsageError, UnsupportedError, PermissionError
 */
export async function rewriteImage(
  path: string,
  output: string,
  changes: ImageChanges,
): Promise<RewriteReport> {
  const image = await readImage(path);
  assertOther(path, output);
  const [old, ...others] = image.snapshot.processes as [Process, ...Process[]];
  const moved = rewritePaths(reopenFiles(old, changes.files), changes);
  // Choices by number come last: their paths are meant as they are said.
  const warnings: string[] = [];
  const chosen = rewriteDescriptors(moved.process, changes.descriptors, warnings);
  const descriptors = rewriteConnections(chosen, changes.descriptors, warnings);
  const embedding = embedFiles({ ...moved.process, descriptors }, moved.embed);
  try {
    warnOfOutput(descriptors, embedding.process.descriptors, warnings);
    const processes: [Process, ...Process[]] = [withoutUnusedFolders(embedding.process), ...others];
    const written = { ...image.snapshot, processes };
    assertConsistent(written);
    const sizes = await writePlanned(image, written, embedding.sources, output, changes);
    return { output, ...sizes, warnings };
  } finally {
    embedding.close();
  }
}

/** What refers to each other can be changed so that it no longer does: better no image than one that nobody can read. */
function assertConsistent(snapshot: Snapshot): void {
  try {
    checkConsistency(snapshot);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    throw new UsageError(`what is to be changed does not go together: ${error.message}`);
  }
}

/** @param sources of the last objects, which are not in the image yet */
async function writePlanned(
  image: Image,
  snapshot: Snapshot & { readonly processes: readonly [Process, ...Process[]] },
  sources: Embedding['sources'],
  output: string,
  changes: ImageChanges,
): Promise<Pick<RewriteReport, 'bytes' | 'bytesOnDisk'>> {
  const { path } = image;
  const [process] = snapshot.processes;
  const plan = planImage(snapshot, makeBlob(addon.interpreter()));
  const patch = await patchEnvironment(image, plan.snapshot, changes.environment);
  const file = await openRegular(path);
  try {
    if ((await file.stat()).size !== image.size)
      throw new ImageError(`${path} has changed since it was read`);
    const copies = copiesOf(file.fd, process, sources, plan.snapshot.processes[0]!);
    const embedded = sources.reduce((sum, { stamp }) => sum + Number(stamp.size), 0);
    // The process may be gone, and the image that this was made of be removed next.
    const place = await prepareOutput(output, {
      needed: statSync(path).blocks * 512 + embedded,
      durable: true,
    });
    try {
      const layout = {
        ...plan.layout,
        chunks: [...plan.layout.chunks, ...patch],
        copies: patch.reduce(without, copies),
      };
      const { bytes } = await writeContents(place, layout, plan.snapshot);
      assertUnchanged(sources);
      return { bytes, bytesOnDisk: await place.commit() };
    } finally {
      await place.discard();
    }
  } finally {
    await file.close();
  }
}

function assertOther(path: string, output: string): void {
  const present = output === '-' ? undefined : statSync(output, { bigint: true, throwIfNoEntry: false });
  const { dev, ino } = statSync(path, { bigint: true });
  if (present?.dev === dev && present.ino === ino)
    throw new UsageError(`-o ${output}: that is the image itself, which is left as it is: name another file`);
}

/** Every content, from its place in the old image, or from a file, to that in the new one. */
function copiesOf(fd: number, process: Process, sources: Embedding['sources'], placed: Process): ImageCopy[] {
  const holders = [...process.regions, ...process.objects];
  const places = [...placed.regions, ...placed.objects];
  const firstNew = holders.length - sources.length;
  return holders.flatMap(({ extents }, i) =>
    extents.map(({ start, offset: old, size }, j) => {
      const { offset } = places[i]!.extents[j]!;
      if (i < firstNew) return { fd, source: BigInt(old), size, offset };
      return { fd: sources[i - firstNew]!.fd, source: start, size, offset };
    }),
  );
}

/** The pages of the environment block with its new values, at their place in the new image. */
async function patchEnvironment(
  image: Image,
  { processes }: Snapshot,
  values: ReadonlyMap<string, string>,
): Promise<ImageChunk[]> {
  if (values.size === 0) return [];
  const process = processes[0]!;
  const { envStart, envEnd } = process.memory;
  const start = envStart & ~(PAGE - 1n);
  const end = (envEnd + PAGE - 1n) & ~(PAGE - 1n);
  const holder = process.regions
    .flatMap(({ backing, extents }) => (backing.kind === 'anonymous' ? extents : []))
    .find((extent) => extent.start <= start && end <= extent.start + BigInt(extent.size));
  if (!holder || envEnd <= envStart)
    throw new ImageError(`${image.path}: the environment block of the process is not in the image`);
  const pages = Buffer.from(await readMemory(image, start, Number(end - start)));
  const block = pages.subarray(Number(envStart - start), Number(envEnd - start));
  block.set(rewriteEnvironment(block, values));
  return [{ offset: holder.offset + Number(start - holder.start), bytes: pages }];
}

/** Copies without what a chunk takes the place of. */
function without(copies: ImageCopy[], { offset, bytes }: ImageChunk): ImageCopy[] {
  const end = offset + bytes.length;
  return copies.flatMap((copy) => {
    const last = copy.offset + copy.size;
    if (last <= offset || copy.offset >= end) return [copy];
    const behind = end - copy.offset;
    return [
      { ...copy, size: offset - copy.offset },
      { ...copy, source: copy.source + BigInt(behind), size: last - end, offset: end },
    ].filter(({ size }) => size > 0);
  });
}
