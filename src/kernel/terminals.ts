/** The other side of a pseudoterminal, before anybody has opened it. */
import type { KernelMemory } from './memory.js';
import { privateOf } from './objects.js';

/** What the kernel keeps of a slave. */
export interface SlaveUse {
  /** How many have it open. */
  readonly opened: number;
  /** Nothing has ever been typed, nothing is shown or to be told, and its output is not stopped. */
  readonly untouched: boolean;
}

/**
 * Looks at the slave of a master.
 * @param fd a descriptor of ours for the master
 * @throws BtfError, KernelFault
 */
export function slaveUse(kernel: KernelMemory, fd: number): SlaveUse {
  const master = kernel.member('tty_file_private', privateOf(kernel, fd), 'tty');
  const slave = kernel.member('tty_struct', master, 'link');
  const line = kernel.member('tty_struct', slave, 'disc_data');
  const typed = ['read_head', 'echo_head', 'echo_commit'].some(
    (head) => kernel.member('n_tty_data', line, head) !== 0n,
  );
  const told = ['ctrl.pktstatus', 'flow.stopped', 'flow.tco_stopped'].some(
    (state) => kernel.member('tty_struct', slave, state) !== 0n,
  );
  const empty = [master, slave].every((side) => isEmpty(kernel, kernel.member('tty_struct', side, 'port')));
  return {
    // The master counts as one.
    opened: Number(kernel.member('tty_struct', slave, 'count')) - 1,
    untouched: !typed && !told && empty,
  };
}

/** Nothing is on its way to a side. */
function isEmpty(kernel: KernelMemory, port: bigint): boolean {
  const [head, tail] = ['buf.head', 'buf.tail'].map((path) => kernel.member('tty_port', port, path));
  const [read, commit] = ['read', 'commit'].map((end) => kernel.member('tty_buffer', head!, end));
  return head === tail && read === commit;
}
