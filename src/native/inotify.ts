/** What this kernel tells of inotify watches. */
import { closeSync, readFileSync } from 'node:fs';
import { IN } from '../inotify.js';
import { addon } from './addon.js';

const NR = { inotify_add_watch: 254, inotify_init1: 294 } as const;
const IN_CLOEXEC = 0o2000000;
let shown: boolean | undefined;

/** Whether fdinfo shows IN_EXCL_UNLINK and IN_ONESHOT: since Linux 5.19. */
export function showsWatchFlags(): boolean {
  shown ??= probe();
  return shown;
}

function probe(): boolean {
  const fd = Number(addon.syscall(NR.inotify_init1, IN_CLOEXEC));
  try {
    addon.syscall(NR.inotify_add_watch, fd, Buffer.from('/\0'), IN.EXCL_UNLINK);
    return readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1').includes('mask:4000000 ');
  } finally {
    closeSync(fd);
  }
}
