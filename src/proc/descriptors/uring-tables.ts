/** What a program has registered with an io_uring: files, buffers, an eventfd. */
import type { KernelMemory } from '../../kernel/memory.js';
import { PAGE_SIZE } from '../../page.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { eventfdLeft, slotLeft } from '../../uring.js';
import type { KindContext } from './kind.js';
import { once } from './once.js';
import { Refusal } from './refusal.js';
import { Frames } from './uring-memory.js';
import { field, type RingContext } from './uring-view.js';

type Ring = OpenFileOf<'uring'>;

/** Bits of `io_rsrc_node.file_ptr` that are not of the address. */
const SLOT_FLAGS = 7n;
const PAGE = BigInt(PAGE_SIZE);

/** The `struct file`s of a process's descriptors, by address: for each the descriptors that mean it. */
export function filesOf(
  kernel: KernelMemory,
  task: bigint,
  context: KindContext,
): ReadonlyMap<bigint, readonly number[]> {
  return once(context, 'files in the kernel', () => {
    const table = kernel.member('files_struct', kernel.member('task_struct', task, 'files'), 'fdt');
    const count = Number(kernel.member('fdtable', table, 'max_fds'));
    const words = kernel.read(kernel.member('fdtable', table, 'fd'), 8 * count);
    const files = new Map<bigint, number[]>();
    for (const { fd, flight } of context.target.entries) {
      if (flight || fd >= count) continue;
      const file = words.readBigUInt64LE(8 * fd);
      const known = files.get(file);
      if (known) known.push(fd);
      else files.set(file, [fd]);
    }
    return files;
  });
}

/** Addresses of the nodes of a `struct io_rsrc_data`, 0 for an empty slot. */
function nodesOf(ring: RingContext, path: string): bigint[] {
  const count = Number(field(ring, `${path}.nr`));
  if (count === 0) return [];
  const bytes = ring.kernel.read(field(ring, `${path}.nodes`), count * 8);
  return Array.from({ length: count }, (_, i) => bytes.readBigUInt64LE(i * 8));
}

/**
 * Files registered with a ring.
 * @param files see {@link filesOf}
 * @throws Refusal for one that no descriptor means
 */
export function captureSlots(
  ring: RingContext,
  files: ReadonlyMap<bigint, readonly number[]>,
  context: KindContext,
): Ring['slots'] {
  const { kernel } = ring;
  const nodes = nodesOf(ring, 'file_table.data');
  if (nodes.length === 0) return null;
  const slots = nodes.map((node, slot) => {
    if (node === 0n) return null;
    const file = kernel.member('io_rsrc_node', node, 'file_ptr') & ~SLOT_FLAGS;
    const fds = files.get(file);
    if (!fds) {
      throw new Refusal(
        `the file in its slot ${slot} (IORING_REGISTER_FILES) is one that no descriptor of the process means`,
      );
    }
    const index = carriedOf(fds, context);
    if (index === null) context.warnings.push(slotLeft(fds[0]!, slot));
    return index === null ? null : { file: index, tag: kernel.member('io_rsrc_node', node, 'tag') };
  });
  return {
    files: slots,
    first: Number(field(ring, 'file_alloc_start')),
    end: Number(field(ring, 'file_alloc_end')),
    next: Number(field(ring, 'file_table.alloc_hint')),
  };
}

/** What descriptors of one description are in the snapshot; `null` where the user lets go of all of them. */
function carriedOf(fds: readonly number[], { fileOf }: KindContext): number | null {
  return fds.map(fileOf).find((index) => index !== null) ?? null;
}

/**
 * Buffers registered with a ring.
 * @param frame number of the first page of the ring, from which follows how the kernel numbers pages
 * @throws Refusal for one whose memory is no longer that of the process at its address
 */
export function captureBuffers(ring: RingContext, pid: number, frame: bigint): Ring['buffers'] {
  const { kernel } = ring;
  const nodes = nodesOf(ring, 'buf_table');
  if (nodes.length === 0) return null;
  const page = kernel.word(field(ring, 'ring_region.pages'));
  const size = BigInt(kernel.types.sizeOf('page'));
  const frameOf = (address: bigint): bigint => frame + (address - page) / size;
  const frames = new Frames(pid);
  try {
    return nodes.map((node, slot) => {
      if (node === 0n) return null;
      const buffer = kernel.member('io_rsrc_node', node, 'buf');
      if (kernel.member('io_mapped_ubuf', buffer, 'is_kbuf') !== 0n)
        throw new Refusal(`its buffer ${slot} is none of the process's memory`);
      const address = kernel.member('io_mapped_ubuf', buffer, 'ubuf');
      const length = Number(kernel.member('io_mapped_ubuf', buffer, 'len'));
      if (!isInPlace(kernel, buffer, address, frames, frameOf)) {
        throw new Refusal(
          `its buffer ${slot} (IORING_REGISTER_BUFFERS) is memory that the process no longer has at 0x${address.toString(16)}`,
        );
      }
      return { address, size: length, tag: kernel.member('io_rsrc_node', node, 'tag') };
    });
  } finally {
    frames.close();
  }
}

/** Whether the pages of a buffer are those that the process has at its address. */
function isInPlace(
  kernel: KernelMemory,
  buffer: bigint,
  address: bigint,
  frames: Frames,
  frameOf: (page: bigint) => bigint,
): boolean {
  const count = Number(kernel.member('io_mapped_ubuf', buffer, 'nr_bvecs'));
  const each = kernel.types.sizeOf('bio_vec');
  const member = (path: string): number => kernel.types.member('bio_vec', path).offset;
  const [page, length, offset] = [member('bv_page'), member('bv_len'), member('bv_offset')];
  const vectors = kernel.read(kernel.place('io_mapped_ubuf', buffer, 'bvec'), count * each);
  let at = address;
  for (let i = 0; i < count; i++) {
    const start = vectors.readUInt32LE(i * each + offset);
    const end = at + BigInt(vectors.readUInt32LE(i * each + length));
    const first = frameOf(vectors.readBigUInt64LE(i * each + page)) + BigInt(Math.floor(start / PAGE_SIZE));
    if (at % PAGE !== BigInt(start) % PAGE) return false;
    const found = frames.of(at - (at % PAGE), ((end + PAGE - 1n) / PAGE) * PAGE);
    if (!found.every((number, n) => number === first + BigInt(n))) return false;
    at = end;
  }
  return true;
}

/**
 * The eventfd that is told of completions.
 * @throws Refusal for one that no descriptor means
 */
export function captureEventfd(
  ring: RingContext,
  files: ReadonlyMap<bigint, readonly number[]>,
  context: KindContext,
): Ring['eventfd'] {
  const { kernel } = ring;
  const told = field(ring, 'io_ev_fd');
  if (told === 0n) return null;
  const counter = kernel.member('io_ev_fd', told, 'cq_ev_fd');
  for (const [file, fds] of files) {
    if (context.target.entry(fds[0]!)?.link !== 'anon_inode:[eventfd]') continue;
    if (kernel.member('file', file, 'private_data') !== counter) continue;
    const index = carriedOf(fds, context);
    if (index === null) {
      context.warnings.push(eventfdLeft(fds[0]!));
      return null;
    }
    return { file: index, async: kernel.member('io_ev_fd', told, 'eventfd_async') !== 0n };
  }
  throw new Refusal('its eventfd (IORING_REGISTER_EVENTFD) is one that no descriptor of the process means');
}
