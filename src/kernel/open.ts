/** The one look into the kernel that a command takes, opened when it is first needed. */
import { errnoOf } from '../errno.js';
import { BtfError } from './btf.js';
import { KernelFault, KernelMemory } from './memory.js';
import { perCpuOffsets } from './objects.js';

let opened: KernelMemory | string | undefined;

/** Memory of the kernel, or why it cannot be read, in words that go on after "because". */
export function openKernel(): KernelMemory | string {
  opened ??= attempt();
  return opened;
}

function attempt(): KernelMemory | string {
  try {
    const kernel = new KernelMemory();
    // What else is asked of it needs a later kernel than that.
    perCpuOffsets(kernel);
    return kernel;
  } catch (error) {
    switch (errnoOf(error)) {
      case 'EPERM':
      case 'EACCES':
        return 'only root (CAP_BPF and CAP_PERFMON) may read it in the kernel';
      case 'ENOENT':
        return 'this kernel does not tell its types (CONFIG_DEBUG_INFO_BTF)';
      case 'ENOSYS':
      case 'EINVAL':
        return 'this kernel runs no program that could read it (bpf(2))';
      default:
        return `a look into this kernel fails (${error instanceof Error ? error.message : String(error)})`;
    }
  }
}

/**
 * What a look into the kernel shows.
 * @param blind takes its place, with why there is none, in words that go on after "because"
 */
export function lookInto<T>(look: (kernel: KernelMemory) => T, blind: (why: string) => T): T {
  const kernel = openKernel();
  if (typeof kernel === 'string') return blind(kernel);
  try {
    return look(kernel);
  } catch (error) {
    if (error instanceof BtfError || error instanceof KernelFault) return blind(error.message);
    throw error;
  }
}
