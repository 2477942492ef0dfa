/** Whether a process has what only the kernel's own memory tells of. */
import { readdirSync } from 'node:fs';
import { openKernel } from '../kernel/open.js';
import { readLink, readProcText, unlessRefused } from './read.js';

const DESCRIPTORS = /^(anon_inode:(inotify|\[io_uring\])|socket:)|\/ptmx$/;

/** Opens the look into the kernel beforehand, which takes a tenth of a second: the process is not held yet. */
export function openIfNeeded(pid: number): void {
  const folder = `/proc/${pid}/fd`;
  const isSuch = (fd: string): boolean =>
    unlessRefused(() => DESCRIPTORS.test(readLink(`${folder}/${fd}`)), false);
  const hasSuch = unlessRefused(() => readdirSync(folder), []).some(isSuch);
  if (hasSuch || readProcText(pid, 'maps').includes('/[aio]')) openKernel();
}
