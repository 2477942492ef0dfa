/** Tests that look into the kernel, which not everybody may do. */
import test, { type ExecutionContext } from 'ava';
import type { KernelMemory } from '../../src/kernel/memory.js';
import { openKernel } from '../../src/kernel/open.js';
import { leaveOut } from '../e2e/harness/needs.js';

/** A test with a look into the kernel; left out where there is none. */
export function testKernel(
  title: string,
  body: (t: ExecutionContext<unknown>, kernel: KernelMemory) => void | Promise<void>,
): void {
  test(title, (t) => {
    const kernel = openKernel();
    return typeof kernel === 'string' ? leaveOut(t, kernel) : body(t, kernel);
  });
}
