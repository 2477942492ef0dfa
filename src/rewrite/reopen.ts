/** Files that travel in an image, opened again by their paths instead. */
import type { OpenFile } from '../snapshot/descriptors.js';
import type { Process, Region } from '../snapshot/schema.js';
import type { FileChanges } from './changes.js';

/** Takes the content of files out of the image for which `--file` or `--files` say so. */
export function reopenFiles(process: Process, { all, paths }: FileChanges): Process {
  const { objects } = process;
  const reopened = (index: number): boolean => {
    const { kind, name } = objects[index]!;
    const choice = paths.get(name)?.kind ?? (all === 'reopen' ? 'reopen' : 'embed');
    return kind === 'embedded-file' && choice !== 'embed';
  };
  // A private mapping has its file's content in the image, whatever becomes of descriptors.
  const shownPrivately = new Set(
    process.regions.flatMap(({ backing, shared }) =>
      backing.kind === 'object' && !shared ? [backing.object] : [],
    ),
  );
  const kept = objects.flatMap((_, index) => (reopened(index) && !shownPrivately.has(index) ? [] : [index]));
  const mappedFiles = [...process.mappedFiles];
  const regions = process.regions.map((region): Region => {
    if (region.backing.kind !== 'object') return region;
    const { object } = region.backing;
    if (!reopened(object) || !region.shared)
      return { ...region, backing: { kind: 'object', object: kept.indexOf(object) } };
    const path = objects[object]!.name;
    const known = mappedFiles.findIndex((file) => file.path === path);
    const file = known < 0 ? mappedFiles.push({ path, writable: false, size: 0 }) - 1 : known;
    mappedFiles[file] = join(mappedFiles[file]!, region, objects[object]!.size);
    return { ...region, backing: { kind: 'file', file } };
  });
  const files = process.descriptors.files.map((file): OpenFile => {
    if (file.kind !== 'object') return file;
    const { object, flags, locks, offset, signals } = file;
    if (!reopened(object)) return { ...file, object: kept.indexOf(object) };
    const { name: path, size } = objects[object]!;
    const state = { offset, size: BigInt(size), modified: null, device: null };
    return { kind: 'file', type: 'regular', flags, locks, path, ...state, ...(signals ? { signals } : {}) };
  });
  return {
    ...process,
    regions,
    mappedFiles,
    objects: kept.map((index) => objects[index]!),
    descriptors: { ...process.descriptors, files },
  };
}

/** What a mapping needs of its file; `mw`: it may become writable. */
function join(file: Process['mappedFiles'][number], { offset, start, end, flags }: Region, whole: number) {
  const size = Math.min(Number(offset + (end - start)), whole);
  return {
    ...file,
    writable: file.writable || flags.includes('mw'),
    size: Math.max(file.size, size),
  };
}
