/** Other descriptors in place of those of an image, as `--fd`, `--drop-fd` and `--external` say. */
import { UsageError } from '../errors.js';
import { type DescriptorChoices, NULL_DEVICE, optionsOf } from '../proc/descriptors/choices.js';
import { isReplaced, watchedInstead } from '../proc/descriptors/epoll.js';
import { lockLetGo } from '../proc/descriptors/locks.js';
import { signalsLetGo } from '../proc/descriptors/signals.js';
import type { DescriptorTable, OpenFile, OpenFileOf } from '../snapshot/descriptors.js';
import { describedBy } from '../snapshot/fdinfo-path.js';
import { inFlightProblem, passedBy, reachable } from '../snapshot/in-flight.js';
import type { Process } from '../snapshot/schema.js';
import { eventfdLeft, slotLeft } from '../uring.js';

type MutableTable = { -readonly [K in keyof DescriptorTable]: DescriptorTable[K] };

/**
 * Applies choices to the table. Indices stay as they are: what no descriptor means any more becomes the null
 * device, which is closed again before the process starts.
 * @param warnings filled with what is let go of, beside what was said
 * @throws UsageError for a descriptor that the image does not have, or that what is on its way in a socket, or tells of
 *   it, needs
 */
export function rewriteDescriptors(
  { descriptors: table, objects }: Pick<Process, 'descriptors' | 'objects'>,
  choices: DescriptorChoices,
  warnings: string[],
): DescriptorTable {
  const unknown = optionsOf(choices).find(({ fd }) => !table.descriptors.some((known) => known.fd === fd));
  if (unknown) throw new UsageError(`${unknown.option}: the image has no descriptor ${unknown.fd}`);
  const result: MutableTable = { ...table, files: [...table.files] };
  const made = new Map<string, number>();
  result.descriptors = table.descriptors
    .filter(({ fd }) => !choices.drop.has(fd))
    .map((descriptor) => {
      const old = table.files[descriptor.file]!;
      const file = replacement(old, descriptor.fd, choices, objects);
      if (!file) return descriptor;
      // Descriptors that shared an open file go on sharing where the same was chosen for them.
      const path = choices.replace.get(descriptor.fd);
      const key = `${descriptor.file} ${path ?? descriptor.fd}`;
      const index = made.get(key) ?? result.files.push(file) - 1;
      if (!made.has(key)) warnings.push(...losses(old, file, descriptor.fd, objects));
      made.set(key, index);
      return { ...descriptor, file: index };
    });
  const place = new Map(result.descriptors.map(({ fd, file }) => [fd, file]));
  const alive = reachable(result.files, place.values());
  const before = reachable(
    table.files,
    table.descriptors.map(({ file }) => file),
  );
  const gone = new Set([...before].filter((index) => !alive.has(index)));
  assertSendable(table, result.files, new Set(place.values()), alive);
  assertDescribed(result);
  result.files = result.files.map((file, index) => {
    if (gone.has(index)) {
      assertUnmapped(file, index, table);
      return nothing(file);
    }
    if (file.kind === 'epoll') {
      const set = table.descriptors.find(
        (descriptor) => descriptor.file === index && place.has(descriptor.fd),
      );
      return { ...file, members: membersOf(file, set?.fd, table, place, gone, choices, warnings) };
    }
    if (file.kind === 'uring') return registeredOf(file, table, place, result.files, warnings);
    if (file.kind === 'pty-slave' && file.master !== null && gone.has(file.master)) {
      return { ...file, master: null };
    }
    return file.kind === 'unix' && file.peer !== null && gone.has(file.peer) ? alone(file) : file;
  });
  const used = new Set(result.files.flatMap((file) => (file.kind === 'pipe' ? [file.pipe] : [])));
  result.pipes = table.pipes.map((pipe, i) =>
    used.has(i) ? pipe : { capacity: pipe.capacity, content: [], path: '' },
  );
  return result;
}

/** Memory that shows a file of the kernel is there only with that. */
function assertUnmapped(file: OpenFile, index: number, { descriptors }: DescriptorTable): void {
  const isMapped =
    (file.kind === 'uring' && file.ring.views.length > 0) || (file.kind === 'packet' && file.ring);
  if (!isMapped) return;
  const fd = descriptors.find((descriptor) => descriptor.file === index)?.fd;
  throw new UsageError(
    `descriptor ${fd}: its ring is mapped in the memory of the process, and must stay with that`,
  );
}

/** What is registered with an io_uring stays while a descriptor means it; as at the freeze it leaves its slot else. */
function registeredOf(
  file: OpenFileOf<'uring'>,
  table: DescriptorTable,
  place: ReadonlyMap<number, number>,
  files: readonly OpenFile[],
  warnings: string[],
): OpenFile {
  const numberOf = (index: number): number => table.descriptors.find(({ file: old }) => old === index)!.fd;
  const moved = (index: number): number | null => {
    const found = table.descriptors.find(({ fd, file: old }) => old === index && place.has(fd));
    return found ? place.get(found.fd)! : null;
  };
  const slot = (old: NonNullable<OpenFileOf<'uring'>['slots']>['files'][number], number: number) => {
    const index = old && moved(old.file);
    if (old && index === null) warnings.push(slotLeft(numberOf(old.file), number));
    return index === null ? null : { ...old!, file: index };
  };
  const told = file.eventfd && moved(file.eventfd.file);
  if (file.eventfd && (told === null || files[told]?.kind !== 'eventfd')) {
    warnings.push(eventfdLeft(numberOf(file.eventfd.file)));
  }
  return {
    ...file,
    slots: file.slots && { ...file.slots, files: file.slots.files.map(slot) },
    eventfd: told !== null && files[told]?.kind === 'eventfd' ? { ...file.eventfd!, file: told } : null,
  };
}

/** What is on its way in a socket stays what it was; some of it only while a descriptor means it, too. */
function assertSendable(
  table: DescriptorTable,
  files: readonly OpenFile[],
  numbered: ReadonlySet<number>,
  alive: ReadonlySet<number>,
): void {
  const sent = [...alive].flatMap((index) => passedBy(files[index]!));
  for (const index of sent) {
    const lost = numbered.has(index) ? undefined : table.descriptors.find(({ file }) => file === index);
    const file = files[index]!;
    const why = inFlightProblem(file, false) ?? (file.locks.length > 0 ? 'it has locks' : null);
    if (lost && why !== null)
      throw new UsageError(`descriptor ${lost.fd} is on its way in a socket as well, and must stay: ${why}`);
  }
}

/** A file of `/proc/self/fdinfo` stays only with the descriptor that it tells of. */
function assertDescribed({ files, descriptors }: DescriptorTable): void {
  for (const { fd, file: index } of descriptors) {
    const file = files[index]!;
    if (file.kind !== 'file' || !file.late) continue;
    const told = describedBy(file.path);
    if (told === null || descriptors.some((other) => other.fd === told)) continue;
    throw new UsageError(
      `--drop-fd ${told}: descriptor ${fd} (${file.path}) tells of it: use --drop-fd ${fd} as well, or --fd ${fd}=PATH`,
    );
  }
}

function replacement(
  old: OpenFile,
  fd: number,
  choices: DescriptorChoices,
  objects: Process['objects'],
): OpenFile | null {
  const { flags, signals, lease } = old;
  if (choices.inherit.has(fd)) {
    const was = describe(old, objects);
    if (fd > 2) return { kind: 'external', flags, locks: [], was };
    const to = signals ? { signals } : {};
    return { kind: 'stream', flags, locks: [], ...to, stream: fd, was, reopen: 'shared' };
  }
  const path = choices.replace.get(fd);
  if (path === undefined) return null;
  const free = path === NULL_DEVICE;
  const locks = free ? [] : old.locks;
  const common = {
    ...({ kind: 'file', type: 'chosen', flags, path, modified: null, device: null } as const),
    ...(lease && !free ? { lease } : {}),
  };
  if (old.kind === 'object') {
    return { ...common, locks, offset: old.offset, size: BigInt(objects[old.object]!.size) };
  }
  const positioned = old.kind === 'file' && (old.type === 'regular' || old.type === 'chosen');
  return { ...common, locks, offset: positioned ? old.offset : 0n, size: positioned ? old.size : 0n };
}

/** What a file had, and what takes its place has not; the same as at the freeze. */
function losses(old: OpenFile, file: OpenFile, fd: number, objects: Process['objects']): string[] {
  const locked = old.locks.length > 0 || old.lease !== undefined;
  const unlocked = file.locks.length === 0 && file.lease === undefined;
  return [
    ...(locked && unlocked ? [lockLetGo(describe(old, objects), fd, old.lease)] : []),
    ...(old.signals && !file.signals ? [signalsLetGo(fd)] : []),
  ];
}

function describe(file: OpenFile, objects: Process['objects']): string {
  switch (file.kind) {
    case 'stream':
    case 'external':
      return file.was;
    case 'file':
      return file.path;
    case 'object':
      return objects[file.object]!.name;
    default:
      return file.kind;
  }
}

/** In place of a file that nobody has any more. */
function nothing({ flags }: OpenFile): OpenFile {
  const common = { flags, locks: [], offset: 0n, size: 0n, modified: null, device: null };
  return { kind: 'file', type: 'chosen', path: NULL_DEVICE, ...common };
}

/** A socket whose other end is let go of finds it closed. */
function alone(socket: Extract<OpenFile, { kind: 'unix' }>): OpenFile {
  const shutdown = socket.type === 'datagram' ? socket.shutdown : 3;
  return { ...socket, peer: null, gone: { reset: false }, shutdown };
}

/**
 * What a set watches is what the descriptor means now by which it did so; where that is dropped, as with close(2), the
 * same file as before while there is another descriptor of it. What is gone leaves the set.
 * @param set a descriptor of the set, for warnings
 */
function membersOf(
  { members }: Extract<OpenFile, { kind: 'epoll' }>,
  set: number | undefined,
  table: DescriptorTable,
  place: ReadonlyMap<number, number>,
  gone: ReadonlySet<number>,
  choices: DescriptorChoices,
  warnings: string[],
) {
  return members.flatMap((member) => {
    const left = table.descriptors.filter(({ fd, file }) => file === member.file && place.has(fd));
    const watched =
      left.find(({ fd }) => fd === member.fd) ??
      left.find(({ fd }) => place.get(fd) === member.file) ??
      left[0];
    const file = watched ? place.get(watched.fd)! : member.file;
    if (gone.has(file)) return [];
    if (set !== undefined && watched && isReplaced(watched.fd, choices))
      warnings.push(watchedInstead(set, watched.fd));
    return [{ ...member, file }];
  });
}
