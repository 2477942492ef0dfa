/** Turns the mappings of a stopped process into regions, with what each is backed by and holds. */

import { fstatSync, openSync } from 'node:fs';
import { filePath } from '../byte-text.js';
import { scanGuards } from '../native/syscalls.js';
import { PAGE_SIZE } from '../page.js';
import type { MappedFile, MemoryObject, Process, Region } from '../snapshot/schema.js';
import { merge, type Range } from '../thaw/addresses.js';
import { coalesce, contentOf, openMapped, regionExtents, sealsOf } from './content.js';
import { isHuge, isSeenTwice, linkOfMapped, sizeProblem } from './huge-pages.js';
import { readMemory } from './infect.js';
import type { Mapping } from './maps.js';
import type { ObjectKey, ObjectTable } from './objects.js';
import { type Classified, classify, describeMapping, type RegionOptions, regionOf } from './regions.js';

/** What capturing regions needs. */
export interface RegionContext {
  readonly pid: number;
  readonly mem: number;
  readonly pagemap: number;
  readonly options: RegionOptions;
  readonly objects: ObjectTable;
  /** Prefix of the target's paths as seen from here. */
  readonly root: string;
  /** Takes what cannot be carried. */
  readonly problems: string[];
  /** Keeps a descriptor open until the image is written. */
  keep(fd: number): void;
}

/** Captures all regions; what cannot be carried is added to `context.problems`. */
export function captureRegions(
  context: RegionContext,
  mappings: readonly Mapping[],
): Pick<Process, 'regions' | 'mappedFiles'> {
  const mappedFiles: MappedFile[] = [];
  const guards = scanGuards(context.pagemap);
  const regions = mappings.flatMap((mapping): Region[] => {
    const backing = backingOf(context, mapping, mappings, mappedFiles);
    if (!backing) return [];
    return [
      {
        ...regionOf(mapping),
        backing,
        extents: isDroppable(mapping) ? [] : regionExtents(context.pagemap, mapping, backing),
        guards: within(guards, mapping),
      },
    ];
  });
  return { regions, mappedFiles };
}

/**
 * MAP_DROPPABLE: the kernel may empty it at any time, and so may we. What lies there is the state of the vDSO's
 * getrandom(2), which several copies of a process must not have in common, nor a file on a disk.
 */
function isDroppable({ flags }: Mapping): boolean {
  return flags.includes('dp');
}

/** The parts of ranges that lie in a mapping. */
function within(ranges: readonly Range[], { start, end }: Range): Range[] {
  return ranges
    .filter((range) => range.start < end && range.end > start)
    .map((range) => ({
      start: range.start < start ? start : range.start,
      end: range.end > end ? end : range.end,
    }));
}

function backingOf(
  context: RegionContext,
  mapping: Mapping,
  mappings: readonly Mapping[],
  mappedFiles: MappedFile[],
): Region['backing'] | null {
  const found = classify(mapping, context.root, context.options);
  switch (found.kind) {
    case 'skip':
      return null;
    case 'unsupported':
      context.problems.push(`the memory at ${describeMapping(mapping)} ${found.why}`);
      return null;
    case 'vdso':
      return {
        kind: 'vdso',
        image: new Uint8Array(readMemory(context.mem, mapping.start, Number(mapping.end - mapping.start))),
      };
    case 'file': {
      const known = mappedFiles.find(({ path }) => path === found.file.path);
      if (known) known.size = Math.max(known.size, found.file.size);
      else mappedFiles.push(found.file);
      return { kind: 'file', file: mappedFiles.findIndex(({ path }) => path === found.file.path) };
    }
    case 'object':
      return { kind: 'object', object: internObject(context, mapping, mappings, found) };
    default:
      return { kind: found.kind };
  }
}

type FoundObject = Extract<Classified, { kind: 'object' }>;

/**
 * Regions that only show a file follow it where it turned out to be embedded for a descriptor: what is
 * written there has to be seen here.
 */
export function followObjects(
  regions: readonly Region[],
  { objects }: Pick<ObjectTable, 'objects'>,
): Region[] {
  return regions.map((region): Region => {
    if (region.backing.kind !== 'image-shared') return region;
    const object = objects.findIndex(
      ({ kind, device, inode, name }) =>
        kind === 'embedded-file' &&
        inode === region.inode &&
        (device === region.device || name === region.path),
    );
    return object < 0 ? region : { ...region, backing: { kind: 'object', object }, extents: [] };
  });
}

/** `null` where it is not readable. */
function openByPath(path: string): number | null {
  try {
    return openSync(filePath(path), 'r');
  } catch {
    return null;
  }
}

/** Gives shared memory its index; its content is read once, from the object itself or through the mappings. */
function internObject(
  context: RegionContext,
  mapping: Mapping,
  mappings: readonly Mapping[],
  found: FoundObject,
): number {
  const { object: kind, name } = found;
  const key = {
    device: found.object === 'embedded-file' ? found.device : mapping.device,
    inode: mapping.inode,
  };
  const known = context.objects.find(key);
  if (known !== null) return known;
  const fd =
    openMapped(context.pid, mapping) ?? (kind === 'embedded-file' ? openByPath(context.root + name) : null);
  if (isHuge(mapping)) {
    const object = { ...key, kind, name };
    return internHuge(context, mapping, mappings, object, fd ?? openByDescriptor(context.pid, mapping));
  }
  return fd === null
    ? internThroughMemory(context, mapping, mappings, key, kind, name)
    : internOpened(context, { ...key, kind, name }, fd);
}

/** @param fd the object, opened for reading */
function internOpened(
  context: RegionContext,
  object: Pick<MemoryObject, 'device' | 'inode' | 'kind' | 'name'>,
  fd: number,
): number {
  const { kind, name } = object;
  context.keep(fd);
  const stat = fstatSync(fd, { bigint: true });
  return context.objects.intern(
    {
      ...{ ...object, mode: Number(stat.mode) & 0o7777, seals: kind === 'memfd' ? sealsOf(fd) : 0 },
      ...contentOf(fd),
    },
    {
      ...{ fd, base: 0n },
      ...(kind === 'embedded-file' ? { stamp: { path: name, size: stat.size, modified: stat.mtimeNs } } : {}),
    },
  );
}

/**
 * Memory in huge pages: to read through a mapping what is not there would take pages that others may need. What has
 * no name is made where it is mapped, which takes that each part of it is seen once.
 */
function internHuge(
  context: RegionContext,
  mapping: Mapping,
  mappings: readonly Mapping[],
  object: Pick<MemoryObject, 'device' | 'inode' | 'kind' | 'name'>,
  fd: number | null,
): number {
  const problem = (why: string) => context.problems.push(`the memory at ${describeMapping(mapping)} ${why}`);
  const views = mappings.filter(({ device, inode }) => device === mapping.device && inode === mapping.inode);
  const twice = object.kind === 'shared-anonymous' && isSeenTwice(views);
  if (twice) problem('is mapped twice, which cannot be made again for huge pages without a name');
  if (fd === null) {
    problem('is in huge pages, and only root can read them without making those that are missing');
    return context.objects.intern(
      { ...object, mode: 0o600, seals: 0, size: 0, pageSize: PAGE_SIZE, extents: [] },
      { fd: context.mem, base: 0n },
    );
  }
  const uneven = sizeProblem(fstatSync(fd).size, mapping.pageSize);
  if (uneven !== null) problem(`shows a file that cannot be carried: ${uneven}`);
  return internOpened(context, object, fd);
}

/** Opens what a region maps through a descriptor of it that the process has; `null` where it has none. */
function openByDescriptor(pid: number, mapping: Mapping): number | null {
  const link = linkOfMapped(pid, mapping);
  return link === null ? null : openByPath(link);
}

/**
 * Without leave to open the object itself, its content is what the mappings show. The parts that
 * no mapping shows cannot be reached by the process either, unless it maps the descriptor again.
 */
function internThroughMemory(
  context: RegionContext,
  mapping: Mapping,
  mappings: readonly Mapping[],
  key: ObjectKey,
  kind: FoundObject['object'],
  name: string,
): number {
  const views = mappings.filter(
    (m) => m.inode === mapping.inode && m.device === mapping.device && m.shared && m.path === mapping.path,
  );
  const size = views.reduce((most, m) => Math.max(most, Number(m.offset + (m.end - m.start))), 0);
  // One source per object: all views at the same distance from the object's start, in pieces if mprotect cut it.
  const base = mapping.start - mapping.offset;
  const shown = views.map((m) => ({
    start: m.offset,
    end: m.offset + (m.end - m.start),
    base: m.start - m.offset,
  }));
  const covered = merge(shown.filter((view) => view.base === base));
  const hidden = shown.find(
    (view) => !covered.some((range) => view.start >= range.start && view.end <= range.end),
  );
  if (hidden) {
    context.problems.push(
      `the shared memory at ${describeMapping(mapping)} is mapped in parts at several places: only root can read it as a whole`,
    );
  }
  return context.objects.intern(
    {
      ...key,
      kind,
      name,
      size,
      mode: 0o600,
      seals: 0,
      pageSize: PAGE_SIZE,
      extents: coalesce(covered),
    },
    { fd: context.mem, base },
  );
}
