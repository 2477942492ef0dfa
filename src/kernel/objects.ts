/** From a descriptor or process to what the kernel keeps of it, and from there on. */
import { closeSync } from 'node:fs';
import { pidfdOpen } from '../native/syscalls.js';
import { KernelFault, type KernelMemory } from './memory.js';

/** More than a list of the kernel that is looked at ever has; one that goes in circles ends here. */
const MOST_ENTRIES = 1_000_000;

/** Address of the `struct file` behind a descriptor of a task. 0 where it is closed. */
export function fileOf(kernel: KernelMemory, task: bigint, fd: number): bigint {
  const files = kernel.member('task_struct', task, 'files');
  const tableOf = (): bigint => kernel.member('files_struct', files, 'fdt');
  for (let table = tableOf(); ; ) {
    const file =
      BigInt(fd) >= kernel.member('fdtable', table, 'max_fds')
        ? 0n
        : kernel.word(kernel.member('fdtable', table, 'fd') + 8n * BigInt(fd));
    // Another thread may have opened so many files that it was replaced meanwhile.
    const now = tableOf();
    if (now === table) return file;
    table = now;
  }
}

/** Address of what a descriptor of ours stands for: its `private_data`. */
export function privateOf(kernel: KernelMemory, fd: number): bigint {
  return kernel.member('file', fileOf(kernel, kernel.currentTask(), fd), 'private_data');
}

/** Address of the `struct task_struct` of a process's first thread. @throws Error ESRCH where it is gone */
export function taskOf(kernel: KernelMemory, pid: number): bigint {
  const fd = pidfdOpen(pid);
  try {
    const file = fileOf(kernel, kernel.currentTask(), fd);
    // Since Linux 6.9 pidfds are files of a file system of their own.
    const inode = kernel.member('file', file, 'f_inode');
    const name = kernel.member('inode', inode, 'i_private') || kernel.member('file', file, 'private_data');
    const node = kernel.word(kernel.place('pid', name, 'tasks'));
    return node - BigInt(kernel.types.member('task_struct', 'pid_links').offset);
  } finally {
    closeSync(fd);
  }
}

/** Addresses of the `struct task_struct` of all threads of a process. */
export function threadsOf(kernel: KernelMemory, task: bigint): bigint[] {
  const signal = kernel.member('task_struct', task, 'signal');
  return listOf(kernel, kernel.place('signal_struct', signal, 'thread_head'), 'task_struct', 'thread_node');
}

/**
 * Addresses of the structures in a list (`struct list_head`).
 * @param head its address
 * @param path the member by which they are linked
 * @throws KernelFault for a list that has no end
 */
export function listOf(kernel: KernelMemory, head: bigint, struct: string, path: string): bigint[] {
  const offset = BigInt(kernel.types.member(struct, path).offset);
  const entries: bigint[] = [];
  for (let node = kernel.word(head); node !== head; node = kernel.word(node)) {
    if (entries.push(node - offset) > MOST_ENTRIES) throw new KernelFault('a list of the kernel has no end');
  }
  return entries;
}

/** What has to be added, for each processor, to an address of memory that each has of its own. */
export function perCpuOffsets(kernel: KernelMemory): readonly bigint[] {
  return kernel.perCpuOffsets((fd) => privateOf(kernel, fd));
}

/** The value of a `struct percpu_counter`. */
export function counterAt(kernel: KernelMemory, address: bigint, offsets: readonly bigint[]): bigint {
  const counters = kernel.member('percpu_counter', address, 'counters');
  const count = BigInt.asIntN(64, kernel.member('percpu_counter', address, 'count'));
  return count + perCpuSum(kernel, counters, 4, offsets);
}

/** The sum of signed numbers of `size` bytes, of which each processor has its own. */
export function perCpuSum(
  kernel: KernelMemory,
  address: bigint,
  size: number,
  offsets: readonly bigint[],
): bigint {
  return offsets
    .map((offset) => BigInt.asIntN(8 * size, kernel.word(BigInt.asUintN(64, address + offset), size)))
    .reduce((sum, part) => sum + part, 0n);
}

/** Where a `struct percpu_ref` keeps its number: in these bits of `percpu_count_ptr`, in one place for all processors. */
const REF_ATOMIC_OR_DEAD = 3n;
/** Where each processor has a part, the common number is this much too high. */
const REF_BIAS = 1n << 63n;

/** How many references a `struct percpu_ref` counts. */
export function referencesAt(kernel: KernelMemory, address: bigint, offsets: readonly bigint[]): bigint {
  const parts = kernel.member('percpu_ref', address, 'percpu_count_ptr');
  const count = kernel.member(
    'percpu_ref_data',
    kernel.member('percpu_ref', address, 'data'),
    'count.counter',
  );
  if (parts & REF_ATOMIC_OR_DEAD) return count;
  const sum = offsets.reduce((all, offset) => all + kernel.word(BigInt.asUintN(64, parts + offset)), count);
  return BigInt.asUintN(64, sum - REF_BIAS);
}

/**
 * Addresses of the entries of a list that ends with a NULL, read as they are asked for.
 * @param link where each has the address of the next
 * @throws KernelFault for a list that has no end
 */
export function* chainOf(kernel: KernelMemory, head: bigint, link = 0n): Generator<bigint> {
  let length = 0;
  for (let node = kernel.word(head); node !== 0n; node = kernel.word(node + link)) {
    if (++length > MOST_ENTRIES) throw new KernelFault('a list of the kernel has no end');
    yield node;
  }
}

/** How many references hold a `struct file`. */
export function fileReferences(kernel: KernelMemory, file: bigint): bigint {
  // Since Linux 6.13 one reference is counted as 0.
  return kernel.types.has('file', 'f_ref.refcnt.counter')
    ? kernel.member('file', file, 'f_ref.refcnt.counter') + 1n
    : kernel.member('file', file, 'f_count.counter');
}
