/** Descriptors on their way in Unix domain sockets (SCM_RIGHTS), which need not have a number in the process. */
import { O } from '../fcntl.js';
import { type DescriptorTable, modelOf, type OpenFile } from './descriptors.js';

/**
 * Why a description cannot be carried that is on its way; `null` if it can.
 * @param numbered a descriptor of the process means it as well
 */
export function inFlightProblem(file: OpenFile, numbered: boolean): string | null {
  const why = modelOf(file).unsendable?.(file) ?? null;
  if (why !== null || numbered) return why;
  const sends = (file.flags & O.ASYNC) !== 0 || file.lease !== undefined;
  const { signals } = file;
  return sends && signals && signals.signal !== 0 && signals.number === undefined ? NUMBERED_SIGNALS : null;
}

/** Signals of F_SETSIG carry the number under which they were asked for. */
export const NUMBERED_SIGNALS =
  'its signals (F_SETSIG) bear the number of one of its descriptors, and the kernel does not tell which';

/** What is on its way in a socket, by index of the file; nothing in other files. */
export function passedBy(file: OpenFile): number[] {
  return file.kind === 'unix' ? file.passed.flatMap(({ files }) => files) : [];
}

/** For each file that is on its way and has no number: the descriptor that leads to it. */
export function carriersOf({
  files,
  descriptors,
}: Pick<DescriptorTable, 'files' | 'descriptors'>): Map<number, number> {
  const numbered = new Set(descriptors.map(({ file }) => file));
  const carriers = new Map<number, number>();
  const leads = descriptors.map(({ fd, file }) => ({ fd, file }));
  // More are found while we go.
  for (const { fd, file } of leads) {
    for (const passed of passedBy(files[file]!)) {
      if (numbered.has(passed) || carriers.has(passed)) continue;
      carriers.set(passed, fd);
      leads.push({ fd, file: passed });
    }
  }
  return carriers;
}

/** Indices of the files that are there as long as some are: those, and what is on its way in them. */
export function reachable(files: readonly OpenFile[], from: Iterable<number>): Set<number> {
  const all = new Set(from);
  // A set goes on to what is added meanwhile.
  for (const index of all) for (const passed of passedBy(files[index]!)) all.add(passed);
  return all;
}
