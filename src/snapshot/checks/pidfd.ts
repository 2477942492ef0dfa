/** Descriptors of processes. */
import type { DescriptorTable, OpenFileOf } from '../descriptors.js';
import type { Process } from '../schema.js';
import { fail } from './damage.js';

/** It refers to one process, and to a thread only of this one. @throws ImageError */
export function checkPidfd(
  { thread, stranger, ended }: OpenFileOf<'pidfd'>,
  threads: Process['threads'],
  where: string,
): void {
  if (thread !== null && !threads.some(({ tid }) => tid === thread))
    fail(`${where}.thread`, `there is no thread ${thread}`);
  if ([thread, stranger, ended].filter((of) => of !== null).length > 1)
    fail(where, 'refers to two processes');
}

/** All descriptors of a process that has ended tell the same end. @throws ImageError */
export function checkEnds({ files }: DescriptorTable, where: string): void {
  const ends = new Map<bigint, number | null>();
  files.forEach((file, i) => {
    if (file.kind !== 'pidfd' || !file.ended || file.ended.inode === null) return;
    const { inode, exit } = file.ended;
    if (ends.has(inode) && ends.get(inode) !== exit) fail(`${where}[${i}].ended`, 'differs for one process');
    ends.set(inode, exit);
  });
}
