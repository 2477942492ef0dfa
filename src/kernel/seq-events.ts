/** Files of `/proc` that tell by poll(2) that what they list has changed since they were opened, or asked the last time. */
import type { KernelMemory } from './memory.js';
import { privateOf } from './objects.js';

/**
 * Whether a file has such news: it has another number than one that was opened just now.
 * @param fd a descriptor of ours for it
 * @param fresh one for the same file, opened just now
 * @throws BtfError, KernelFault
 */
export function hasNews(kernel: KernelMemory, fd: number, fresh: number): boolean {
  const [then, now] = [fd, fresh].map((file) =>
    kernel.member('seq_file', privateOf(kernel, file), 'poll_event'),
  );
  return then !== now;
}
