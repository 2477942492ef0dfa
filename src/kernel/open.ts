/** The one look into the kernel that a command takes, opened when it is first needed. */
import { errnoOf } from '../errno.js';
import { KernelMemory } from './memory.js';

let opened: KernelMemory | string | undefined;

/** Memory of the kernel, or why it cannot be read, in words that go on after "because". */
export function openKernel(): KernelMemory | string {
  opened ??= attempt();
  return opened;
}

function attempt(): KernelMemory | string {
  try {
    return new KernelMemory();
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
        throw error;
    }
  }
}
