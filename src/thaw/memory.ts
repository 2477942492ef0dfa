/** Operations that put memory back: one region after the other, in ascending order. */

import { PAGE_SIZE } from '../page.js';
import type { Extent, Region } from '../snapshot/schema.js';
import type { Range } from './addresses.js';
import { call, hugePages, MapFlag, mapFixed, Prot, protect, show, tolerate } from './calls.js';
import { pagesText } from './huge-pages.js';
import { Flag, type Op, type Operand } from './program.js';
import { isReadOnly } from './read-only-objects.js';
import type { Span } from './spans.js';

/** A region with its places. */
export interface PlacedRegion {
  readonly region: Region;
  readonly extents: readonly Extent[];
  readonly spans: readonly Span[];
  /** The span that the kernel has loaded at its own address; `null` if none was, or only at a staging address. */
  readonly loaded: Span | null;
}

/** What memory operations refer to. */
export interface MemoryContext {
  /** The image file, open for reading. */
  readonly image: Operand;
  /** Descriptor of each memory object; `null` for shared anonymous memory. */
  readonly objects: readonly (Operand | null)[];
  /** Descriptors of the same, for those that are shown read-only, by index. */
  readonly readers: ReadonlyMap<number, Operand>;
  /** Descriptor of each mapped file. */
  readonly mappedFiles: readonly Operand[];
}

/** Spans below this size are read even under --lazy: a mapping of its own costs more. */
const SMALLEST_LAZY = 64n << 10n;

/** Operations for one region. */
export function planRegion(placed: PlacedRegion, context: MemoryContext): Op[] {
  const { region } = placed;
  switch (region.backing.kind) {
    case 'anonymous':
      return [...planAnonymous(placed, context), ...planAdvice(region)];
    case 'image':
      return [...planImage(placed, context), ...planAdvice(region)];
    case 'image-shared':
      return [
        mapFixed(region, region.prot, MapFlag.SHARED, context.image, placed.spans[0]?.offset ?? 0, {
          label: label(region),
        }),
        ...planAdvice(region),
      ];
    case 'file':
      return [
        mapFixed(
          region,
          region.prot,
          MapFlag.SHARED,
          context.mappedFiles[region.backing.file]!,
          region.offset,
          {
            label: label(region),
          },
        ),
        ...planAdvice(region),
      ];
    case 'object': {
      const { object } = region.backing;
      const fd = isReadOnly(region) ? context.readers.get(object) : context.objects[object];
      // Shared anonymous memory has no descriptor: planSharedMemory makes its regions.
      if (fd == null) return [];
      return [...planShown(placed, context, fd), ...planAdvice(region)];
    }
    case 'ring': // see planRings
    case 'aio': // see planAio
    case 'uring': // see planUrings
    case 'vdso':
    case 'vvar':
      return [];
  }
}

/** A view of a memory object, with what a private one has of its own. */
function planShown({ region, extents }: PlacedRegion, context: MemoryContext, object: Operand): Op[] {
  // Only for huge pages does it matter whether they are reserved.
  const reserve = region.pageSize > PAGE_SIZE && region.flags.includes('nr') ? MapFlag.NORESERVE : 0;
  const flags = (region.shared ? MapFlag.SHARED : MapFlag.PRIVATE) | reserve;
  const filled = extents.length > 0 && !(region.prot & Prot.WRITE);
  const prot = filled ? Prot.READ | Prot.WRITE : region.prot;
  return [
    mapFixed(region, prot, flags, object, region.offset, { label: label(region) }),
    ...extents.map((extent) => readExtent(extent, region, context)),
    ...(filled ? [protect(region, region.prot, { label: label(region) })] : []),
  ];
}

/** `cannot map 7f..-7f.. rw-p /srv/data` */
function label(region: Region): string {
  const bits = `${region.prot & 1 ? 'r' : '-'}${region.prot & 2 ? 'w' : '-'}${region.prot & 4 ? 'x' : '-'}${region.shared ? 's' : 'p'}`;
  return `cannot map ${region.start.toString(16)}-${region.end.toString(16)} ${bits} ${region.path || '(anonymous)'}${need(region)}`;
}

/** What a region in huge pages takes. */
function need({ pageSize, start, end }: Region): string {
  return pageSize > PAGE_SIZE ? ` in ${pagesText(end - start, pageSize)}` : '';
}

function planAnonymous(placed: PlacedRegion, context: MemoryContext): Op[] {
  const { region } = placed;
  // The main stack must be able to grow, and some memory be dropped, which a mapping of a file cannot.
  const always = region.flags.includes('gd') || region.flags.includes('dp') || region.pageSize > 4096;
  const lazy = always ? [] : planLazy(placed, context).map((op) => withFlags(op, Flag.LAZY, 0));
  const eager = planEager(placed, context).map((op) => (always ? op : withFlags(op, 0, Flag.LAZY)));
  return [...lazy, ...eager];
}

function withFlags(op: Op, when: number, unless: number): Op {
  return op.op === 'mark' ? op : { ...op, when: (op.when ?? 0) | when, unless: (op.unless ?? 0) | unless };
}

/** Flags of a fresh private anonymous mapping. */
function anonymousFlags(region: Region): number {
  return (
    (region.flags.includes('dp') ? MapFlag.DROPPABLE : MapFlag.PRIVATE) |
    MapFlag.ANONYMOUS |
    (region.flags.includes('nr') ? MapFlag.NORESERVE : 0) |
    (region.flags.includes('gd') ? MapFlag.GROWSDOWN : 0) |
    (region.pageSize > 4096 ? hugePages(region.pageSize) : 0)
  );
}

/** Fresh memory, filled from the image: after it the region behaves as before in every respect. */
function planEager(placed: PlacedRegion, context: MemoryContext): Op[] {
  const { region, extents } = placed;
  const writable = (region.prot & Prot.WRITE) !== 0;
  // Memory that was writable once is charged (VmFlags "ac"): mapping it writable gets it charged again.
  const whole = !writable && extents.length > 0 && region.flags.includes('ac');
  const ops: Op[] = [
    mapFixed(region, whole ? Prot.READ | Prot.WRITE : region.prot, anonymousFlags(region), -1, 0, {
      label: label(region),
    }),
    ...planHugePageAdvice(region),
  ];
  const each = !writable && !whole;
  for (const extent of extents) {
    const range = { start: extent.start, end: extent.start + BigInt(extent.size) };
    if (each) ops.push(protect(range, Prot.READ | Prot.WRITE, { label: label(region) }));
    ops.push(readExtent(extent, region, context));
    if (each) ops.push(protect(range, region.prot, { label: label(region) }));
  }
  if (whole) ops.push(protect(region, region.prot, { label: label(region) }));
  return ops;
}

/** Reads a part of a region's content from the image. */
export function readExtent(extent: Extent, region: Region, context: MemoryContext): Op {
  return {
    op: 'read',
    fd: context.image,
    address: extent.start,
    size: extent.size,
    offset: BigInt(extent.offset),
    unless: Flag.CHECK,
    label: `cannot read ${region.start.toString(16)}-${region.end.toString(16)} ${region.path || '(anonymous)'}${need(region)}`,
    text: `pread64(${show(context.image)}, ${show(extent.start)}, ${extent.size}, ${extent.offset})`,
  };
}

/** The region stays a private mapping of the image where it has content, and is fresh memory between. */
function planLazy(placed: PlacedRegion, context: MemoryContext): Op[] {
  const { region, spans, loaded } = placed;
  const flags = anonymousFlags(region);
  const ops: Op[] = [];
  const fresh = (start: bigint, end: bigint): void => {
    if (end > start) ops.push(mapFixed({ start, end }, region.prot, flags, -1, 0, { label: label(region) }));
  };
  if (loaded) {
    fresh(region.start, loaded.start);
    fresh(loaded.end, region.end);
  } else {
    fresh(region.start, region.end);
  }
  ops.push(...planHugePageAdvice(region));
  for (const span of spans) {
    if (span === loaded) continue;
    const readable = (region.prot & Prot.WRITE) !== 0 && span.end - span.start < SMALLEST_LAZY;
    if (readable) {
      const size = Number(span.end - span.start);
      ops.push(readExtent({ start: span.start, size, offset: span.offset }, region, context));
    } else {
      const share = MapFlag.PRIVATE | (region.flags.includes('nr') ? MapFlag.NORESERVE : 0);
      ops.push(mapFixed(span, region.prot, share, context.image, span.offset, { label: label(region) }));
    }
  }
  return ops;
}

/** A private mapping of the image: as loaded, or made now where the kernel could not load it in its place. */
function planImage(placed: PlacedRegion, context: MemoryContext): Op[] {
  const { region, spans, loaded } = placed;
  const flags = MapFlag.PRIVATE | (region.flags.includes('nr') ? MapFlag.NORESERVE : 0);
  return spans
    .filter((span) => span !== loaded)
    .map((span) => mapFixed(span, region.prot, flags, context.image, span.offset, { label: label(region) }));
}

interface Advice {
  readonly flag: string;
  readonly name: string;
  readonly value: number;
}

/** Advice that must be given before the pages are touched. */
const HUGE_PAGE_ADVICE: readonly Advice[] = [
  { flag: 'hg', name: 'MADV_HUGEPAGE', value: 14 },
  { flag: 'nh', name: 'MADV_NOHUGEPAGE', value: 15 },
];

/** VmFlags (proc(5)) and the madvise(2) that sets each. */
const ADVICE: readonly Advice[] = [
  { flag: 'rr', name: 'MADV_RANDOM', value: 1 },
  { flag: 'sr', name: 'MADV_SEQUENTIAL', value: 2 },
  { flag: 'dc', name: 'MADV_DONTFORK', value: 10 },
  { flag: 'mg', name: 'MADV_MERGEABLE', value: 12 },
  { flag: 'dd', name: 'MADV_DONTDUMP', value: 16 },
  { flag: 'wf', name: 'MADV_WIPEONFORK', value: 18 },
];
const MADV_GUARD_INSTALL = 102;
const MLOCK_ONFAULT = 1;
const PR_SET_VMA = 0x53564d41;

function planHugePageAdvice(region: Region): Op[] {
  return advise(region, HUGE_PAGE_ADVICE);
}

function advise(region: Region, table: readonly Advice[]): Op[] {
  const size = region.end - region.start;
  return table
    .filter(({ flag }) => region.flags.includes(flag))
    .map(({ name, value }) =>
      call('madvise', [region.start, size, value], {
        text: `madvise(${show(region.start)}, ${size}, ${name})`,
        label: `cannot set ${name} on ${region.start.toString(16)}-${region.end.toString(16)}`,
        // A kernel without transparent huge pages or KSM has nothing that the advice could change.
        check: tolerate('EINVAL'),
      }),
    );
}

/** Guard pages, once their neighbours have their content, and before they are locked, which forbids it. */
function planGuards(region: Region): Op[] {
  return region.guards.map(({ start, end }) =>
    call('madvise', [start, end - start, MADV_GUARD_INSTALL], {
      text: `madvise(${show(start)}, ${end - start}, MADV_GUARD_INSTALL)`,
      label: `cannot make guard pages at ${start.toString(16)}-${end.toString(16)} (Linux 6.13)`,
    }),
  );
}

/** Gives memory that something else has mapped, to be read and written, its content and what it may be used for. */
export function fillMapped({ region, extents }: PlacedRegion, context: MemoryContext, label: string): Op[] {
  return [
    ...extents.map((extent) => readExtent(extent, region, context)),
    ...(region.prot === (Prot.READ | Prot.WRITE) ? [] : [protect(region, region.prot, { label })]),
    ...planAdvice(region),
  ];
}

/** madvise(2) and mlock(2) of a region. */
export function planAdvice(region: Region): Op[] {
  const ops = [
    ...planGuards(region),
    ...(region.backing.kind === 'anonymous' ? [] : planHugePageAdvice(region)),
    ...advise(region, ADVICE),
  ];
  const size = region.end - region.start;
  if (region.flags.includes('lo')) {
    const flags = region.flags.includes('lf') ? MLOCK_ONFAULT : 0;
    ops.push(
      call('mlock2', [region.start, size, flags], {
        label: `cannot lock ${region.start.toString(16)}-${region.end.toString(16)} in memory (RLIMIT_MEMLOCK)`,
      }),
    );
  }
  return ops;
}

/** mseal(2), once nothing is mapped any more: what is sealed cannot be moved, unmapped or protected otherwise. */
export function planSeals(regions: readonly Region[]): Op[] {
  return regions
    .filter(
      ({ flags, backing }) => flags.includes('sl') && backing.kind !== 'vdso' && backing.kind !== 'vvar',
    )
    .map(({ start, end }) =>
      call('mseal', [start, end - start, 0], {
        label: `cannot seal ${start.toString(16)}-${end.toString(16)} (mseal, Linux 6.10)`,
      }),
    );
}

/**
 * prctl(PR_SET_VMA) for named anonymous memory, shared or not. Kernels without the option leave it nameless, and so
 * stays what is a mapping of the image (`--lazy`): EBADF.
 */
export function planName(region: Region, nameAt: (name: string) => bigint): Op[] {
  const name = /^\[anon(?:_shmem)?:(.*)\]$/.exec(region.path)?.[1];
  if (name === undefined) return [];
  return [
    call('prctl', [PR_SET_VMA, 0, region.start, region.end - region.start, nameAt(name)], {
      check: tolerate('EINVAL', 'EBADF'),
      text: `prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, ${show(region.start)}, ${region.end - region.start}, ${JSON.stringify(name)})`,
    }),
  ];
}

/** munmap(2) of every gap between the kept ranges. */
export function planGaps(free: readonly Range[], when: number, unless: number): Op[] {
  return free.map(({ start, end }) =>
    call('munmap', [start, end - start], { when, unless, label: 'cannot clear the address space' }),
  );
}
