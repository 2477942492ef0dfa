/** The folders of threads in `/proc`, for files of theirs that are opened again. */
import { AT_FDCWD, O } from '../fcntl.js';
import type { Process } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { call } from './calls.js';
import { close } from './descriptors/calls.js';
import type { Cell, Op } from './program.js';

/** Each of these threads opens its own, which needs no id in a path; the first thread waits for that. */
export interface ThreadFolders {
  /** How many there are: so many numbers more are in use for a moment. */
  readonly count: number;
  /** The descriptor of a thread's folder, between `wait` and `close`. */
  folderOf(tid: number): Cell;
  /** For the program of a thread, before it gives up privileges. */
  open(tid: number): Op[];
  /** For the first thread, when nothing is closed any more that is not of the table. */
  readonly wait: readonly Op[];
  readonly close: readonly Op[];
}

/** None where no file wants one. */
export function planThreadFolders(
  arena: Arena,
  { descriptors, threads }: Pick<Process, 'descriptors' | 'threads'>,
): ThreadFolders {
  const wanted = new Set(
    descriptors.files.flatMap((file) =>
      file.kind === 'file' && file.late?.thread != null ? [file.late.thread] : [],
    ),
  );
  const others = threads.slice(1).filter(({ tid }) => wanted.has(tid));
  const cells = new Map(others.map(({ tid }) => [tid, arena.cell()]));
  const meet = (): Op => ({
    op: 'barrier',
    address: arena.reserve(8),
    parties: others.length + 1,
  });
  const [before, behind] = [meet(), meet()];
  return {
    count: others.length,
    folderOf: (tid) => cells.get(tid)!,
    open: (tid) => {
      const result = cells.get(tid);
      if (!result) return [];
      return [
        before,
        call('openat', [AT_FDCWD, arena.string('/proc/thread-self'), O.PATH | O.DIRECTORY | O.CLOEXEC, 0], {
          result,
          label: `cannot open the folder of thread ${tid} in /proc`,
          text: 'openat(AT_FDCWD, "/proc/thread-self", O_PATH|O_DIRECTORY|O_CLOEXEC)',
        }),
        behind,
      ];
    },
    wait: others.length > 0 ? [before, behind] : [],
    close: [...cells.values()].map(close),
  };
}
