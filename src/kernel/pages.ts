/**
 * Where the kernel has a page of memory. Structures name pages by their `struct page`, and the kernel computes the address
 * from that: it is a sum, of which one term is another after each boot, and is found by pages of which both are known.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, writeSync } from 'node:fs';
import { makePipe } from '../native/syscalls.js';
import { PAGE_SIZE } from '../page.js';
import { KernelFault, type KernelMemory } from './memory.js';
import { privateOf } from './objects.js';

/** Finds the address of what lies in a page. */
export type PageAddress = (page: bigint) => bigint;

/** It cannot be told where pages are. */
export class PageError extends Error {
  override readonly name = 'PageError';
}

/** As many pages must agree. */
const WITNESSES = 3;
/** More than there are caches. */
const MOST_CACHES = 10_000;
const PROOF_SIZE = 64;

/** It stays the same from one start of the machine to the next. */
const known = new WeakMap<KernelMemory, PageAddress>();

/**
 * Learns where pages are.
 * @param cache a `struct kmem_cache`, any of them: from memory for small structures it is known where its pages are
 * @throws PageError where nothing tells; BtfError, KernelFault
 */
export function findPages(kernel: KernelMemory, cache: bigint): PageAddress {
  const found = known.get(kernel) ?? learn(kernel, cache);
  known.set(kernel, found);
  return found;
}

function learn(kernel: KernelMemory, cache: bigint): PageAddress {
  const size = BigInt(kernel.types.sizeOf('page'));
  const addressOf =
    (term: bigint): PageAddress =>
    (page) =>
      BigInt.asUintN(64, term + (page / size) * BigInt(PAGE_SIZE));
  const found = addressOf(agreed(termsOf(kernel, cache, addressOf(0n))));
  prove(kernel, found);
  return found;
}

/** What the first witnesses that agree have said. */
function agreed(terms: Iterable<bigint>): bigint {
  const votes = new Map<bigint, number>();
  for (const term of terms) {
    const count = (votes.get(term) ?? 0) + 1;
    if (count === WITNESSES) return term;
    votes.set(term, count);
  }
  throw new PageError('nothing tells where the kernel has its pages');
}

/** The term that is looked for, by pages that hold structures of one cache and have room for more. */
function* termsOf(kernel: KernelMemory, cache: bigint, product: PageAddress): Generator<bigint> {
  for (const one of cachesFrom(kernel, cache)) {
    try {
      const slab = firstSlab(kernel, one);
      if (slab === null || kernel.member('slab', slab, 'slab_cache') !== one) continue;
      const free = kernel.member('slab', slab, 'freelist');
      if (free !== 0n) yield BigInt.asUintN(64, free - (free % BigInt(PAGE_SIZE)) - product(slab));
    } catch (error) {
      // What is no cache, or is changed meanwhile by another processor.
      if (!(error instanceof KernelFault)) throw error;
    }
  }
}

/** All caches but the one that is given; the list's head, which is none, is among them. */
function* cachesFrom(kernel: KernelMemory, cache: bigint): Generator<bigint> {
  const offset = BigInt(kernel.types.member('kmem_cache', 'list').offset);
  let node = kernel.word(cache + offset);
  for (let count = 0; node !== cache + offset && count < MOST_CACHES; count++) {
    yield node - offset;
    node = kernel.word(node);
  }
}

/** A `struct slab` of a cache whose slabs are single pages, on the first node of memory; `null` where there is none. */
function firstSlab(kernel: KernelMemory, cache: bigint): bigint | null {
  // How many pages is in the upper half, as a power of two.
  if (kernel.member('kmem_cache', cache, 'oo.x') >> 16n !== 0n) return null;
  const node = kernel.word(kernel.place('kmem_cache', cache, 'node'));
  const head = kernel.place('kmem_cache_node', node, 'partial');
  const first = kernel.word(head);
  return first === head ? null : first - BigInt(kernel.types.member('slab', 'slab_list').offset);
}

/** What we have written must be found. @throws PageError */
function prove(kernel: KernelMemory, addressOf: PageAddress): void {
  const [reader, writer] = makePipe();
  try {
    const bytes = randomBytes(PROOF_SIZE);
    writeSync(writer, bytes);
    const buffer = kernel.member('pipe_inode_info', privateOf(kernel, reader), 'bufs');
    const page = addressOf(kernel.member('pipe_buffer', buffer, 'page'));
    const offset = kernel.member('pipe_buffer', buffer, 'offset');
    if (!kernel.read(page + offset, PROOF_SIZE).equals(bytes)) {
      throw new PageError('the kernel has its pages elsewhere than it seems');
    }
  } finally {
    closeSync(reader);
    closeSync(writer);
  }
}
