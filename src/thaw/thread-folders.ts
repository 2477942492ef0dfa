/** The folders of threads in `/proc`, for files of theirs that are opened again. */
import { AT_FDCWD, O } from '../fcntl.js';
import type { Process } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { call } from './calls.js';
import { close } from './descriptors/calls.js';
import type { Cell, Op, Operand } from './program.js';

/** Each of these threads opens its own, which needs no id in the image; the first thread waits for that. */
export interface ThreadFolders {
  /** How many there are: so many numbers more are in use for a moment. */
  readonly count: number;
  /**
   * The descriptor of a thread's folder, between `wait` and `close`.
   * @param apart that by its own id, `/proc/4243`; otherwise that below its process, `/proc/4242/task/4243`
   */
  folderOf(tid: number, apart: boolean): Cell;
  /** For the program of a thread, before it gives up privileges. */
  open(tid: number): Op[];
  /** For the first thread, when nothing is closed any more that is not of the table. */
  readonly wait: readonly Op[];
  readonly close: readonly Op[];
}

/** Room for what /proc/thread-self tells, and a zero behind it. */
const LINK_SIZE = 64;

/** None where no file wants one. */
export function planThreadFolders(
  arena: Arena,
  { descriptors, threads }: Pick<Process, 'descriptors' | 'threads'>,
): ThreadFolders {
  const wanted = new Set(
    descriptors.files.flatMap((file) =>
      file.kind === 'file' && file.late?.thread != null ? [keyOf(file.late.thread, file.late.apart)] : [],
    ),
  );
  const cells = new Map([...wanted].map((key) => [key, arena.cell()]));
  const others = threads
    .slice(1)
    .filter(({ tid }) => cells.has(keyOf(tid, false)) || cells.has(keyOf(tid, true)));
  const meet = (): Op => ({
    op: 'barrier',
    address: arena.reserve(8),
    parties: others.length + 1,
  });
  const [before, behind] = [meet(), meet()];
  return {
    count: cells.size,
    folderOf: (tid, apart) => cells.get(keyOf(tid, apart))!,
    open: (tid) => {
      if (!others.some((other) => other.tid === tid)) return [];
      const [below, apart] = [cells.get(keyOf(tid, false)), cells.get(keyOf(tid, true))];
      return [
        before,
        ...(below ? [open(arena.string('/proc/thread-self'), '"/proc/thread-self"', tid, below)] : []),
        ...(apart ? openApart(arena, tid, apart) : []),
        behind,
      ];
    },
    wait: others.length > 0 ? [before, behind] : [],
    close: [...cells.values()].map(close),
  };
}

function keyOf(tid: number, apart = false): string {
  return `${tid} ${apart}`;
}

function open(path: Operand, shown: string, tid: number, result: Cell): Op {
  return call('openat', [AT_FDCWD, path, O.PATH | O.DIRECTORY | O.CLOEXEC, 0], {
    result,
    label: labelOf(tid),
    text: `openat(AT_FDCWD, ${shown}, O_PATH|O_DIRECTORY|O_CLOEXEC)`,
  });
}

/** By the id that /proc itself gives it, which gettid(2) does not tell where that is of another namespace. */
function openApart(arena: Arena, tid: number, result: Cell): Op[] {
  const link = arena.reserve(LINK_SIZE);
  const folder = arena.cell();
  return [
    call('readlink', [arena.string('/proc/thread-self'), link, LINK_SIZE - 1], {
      label: labelOf(tid),
      text: `readlink("/proc/thread-self", ${LINK_SIZE - 1})`,
    }),
    { op: 'builtin', name: 'own_folder', args: [link], result: folder, label: labelOf(tid) },
    open(folder, 'its own folder', tid, result),
  ];
}

function labelOf(tid: number): string {
  return `cannot open the folder of thread ${tid} in /proc`;
}
