/** Under which number a description was asked for signals: the kernel puts it into those of F_SETSIG. */
import type { KernelMemory } from './memory.js';
import { chainOf, fileOf, listOf } from './objects.js';

/** What keeps a list of those that are to be sent signals, and the members that lead there from its `private_data`. */
const LISTS = {
  socket: [['socket', 'wq.fasync_list']],
  pipe: [
    ['pipe_inode_info', 'fasync_readers'],
    ['pipe_inode_info', 'fasync_writers'],
  ],
  terminal: [['tty_struct', 'fasync']],
  inotify: [['fsnotify_group', 'fsn_fa']],
} as const;

/** See {@link LISTS}; `lease`: by the lease on a file. */
export type SignalSource = keyof typeof LISTS | 'lease';

/**
 * The number by which O_ASYNC was set, or a lease taken, the last time; `null` where there is none.
 * @param fd a descriptor of ours
 * @throws BtfError, KernelFault
 */
export function signalNumber(kernel: KernelMemory, fd: number, source: SignalSource): number | null {
  const file = fileOf(kernel, kernel.currentTask(), fd);
  const heads = source === 'lease' ? leasesOf(kernel, file) : listsOf(kernel, file, source);
  const link = BigInt(kernel.types.member('fasync_struct', 'fa_next').offset);
  for (const head of heads) {
    for (const node of chainOf(kernel, head, link)) {
      const member = (path: string): bigint => kernel.member('fasync_struct', node, path);
      if (member('fa_file') === file) return Number(BigInt.asIntN(32, member('fa_fd')));
    }
  }
  return null;
}

/** Where the lists begin. */
function listsOf(kernel: KernelMemory, file: bigint, source: keyof typeof LISTS): bigint[] {
  const own = kernel.member('file', file, 'private_data');
  const owner = source === 'terminal' ? kernel.member('tty_file_private', own, 'tty') : own;
  return LISTS[source].map(([struct, path]) => kernel.place(struct, owner, path));
}

function leasesOf(kernel: KernelMemory, file: bigint): bigint[] {
  const locks = kernel.member('inode', kernel.member('file', file, 'f_inode'), 'i_flctx');
  if (locks === 0n) return [];
  const head = kernel.place('file_lock_context', locks, 'flc_lease');
  return listOf(kernel, head, 'file_lease', 'c.flc_list').map((lease) =>
    kernel.place('file_lease', lease, 'fl_fasync'),
  );
}
