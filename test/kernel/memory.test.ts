import { closeSync, openSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { KernelFault } from '../../src/kernel/memory.js';
import {
  counterAt,
  fileOf,
  listOf,
  perCpuOffsets,
  privateOf,
  taskOf,
  threadsOf,
} from '../../src/kernel/objects.js';
import { addon } from '../../src/native/addon.js';
import { testKernel } from './support.js';

testKernel('a process is found by its pid, with all of its threads', (t, kernel) => {
  const task = taskOf(kernel, process.pid);
  t.is(task, kernel.currentTask());
  const name = readFileSync('/proc/self/comm', 'latin1').trim();
  t.true(
    kernel
      .read(kernel.place('task_struct', task, 'comm'), 16)
      .toString('latin1')
      .startsWith(`${name}\0`),
  );
  const threads = threadsOf(kernel, task).map((thread) => kernel.member('task_struct', thread, 'pid'));
  t.is(threads[0], kernel.member('task_struct', task, 'pid'));
  t.true(threads.length > 1);
});

testKernel('another process is found', (t, kernel) => {
  const task = taskOf(kernel, process.ppid);
  t.is(kernel.member('task_struct', kernel.currentTask(), 'real_parent'), task);
});

testKernel('descriptors lead to files', (t, kernel) => {
  const file = openSync('/proc/self/exe', 'r');
  try {
    const address = fileOf(kernel, kernel.currentTask(), file);
    const inode = kernel.member('file', address, 'f_inode');
    t.is(kernel.member('inode', inode, 'i_size'), BigInt(readFileSync('/proc/self/exe').length));
  } finally {
    closeSync(file);
  }
  t.is(fileOf(kernel, kernel.currentTask(), file), 0n);
  t.is(fileOf(kernel, kernel.currentTask(), 1 << 30), 0n);
});

testKernel('what stands behind a descriptor is found: an eventfd and its counter', (t, kernel) => {
  const NR_EVENTFD2 = 290;
  const fd = Number(addon.syscall(NR_EVENTFD2, 4711, 0));
  try {
    t.is(kernel.member('eventfd_ctx', privateOf(kernel, fd), 'count'), 4711n);
  } finally {
    closeSync(fd);
  }
});

testKernel('memory that each processor has of its own is added up', (t, kernel) => {
  const offsets = perCpuOffsets(kernel);
  t.true(offsets.length >= cpus().length);
  t.is(new Set(offsets).size, offsets.length);
  const memory = kernel.member('task_struct', kernel.currentTask(), 'mm');
  const size = BigInt(kernel.types.sizeOf('percpu_counter'));
  // Anonymous pages, MM_ANONPAGES, which are what /proc/self/status calls RssAnon.
  const pages = counterAt(kernel, kernel.place('mm_struct', memory, 'rss_stat') + size, offsets);
  const told = BigInt(/RssAnon:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))![1]!) / 4n;
  const difference = pages > told ? pages - told : told - pages;
  t.true(difference < told / 10n, `${pages} against ${told}`);
});

testKernel('lists are followed to their end', (t, kernel) => {
  const own = kernel.currentTask();
  const parent = kernel.member('task_struct', own, 'real_parent');
  const children = listOf(kernel, kernel.place('task_struct', parent, 'children'), 'task_struct', 'sibling');
  t.true(children.includes(own));
});

testKernel(
  'more than one program reads at once is read, and where there is no memory an error is thrown',
  (t, kernel) => {
    const task = kernel.currentTask();
    const size = kernel.types.sizeOf('task_struct');
    t.is(kernel.read(task, size).length, size);
    t.throws(() => kernel.read(0n, 8), { instanceOf: KernelFault });
    t.throws(() => kernel.word(0xdead_0000_0000_0000n), { instanceOf: KernelFault });
  },
);
