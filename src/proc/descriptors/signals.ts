/** Signals for input and output: to whom they go, and which (fcntl(2) F_SETOWN, F_SETSIG, O_ASYNC). */
import { O } from '../../fcntl.js';
import { type FileOwner, fcntlGetOwner, fcntlGetsig } from '../../native/syscalls.js';
import type { FileSignal, OpenFile } from '../../snapshot/descriptors.js';
import type { Entry } from './entries.js';
import type { Description, KindContext, UnlockedFile } from './kind.js';
import { Refusal } from './refusal.js';
import { fileType } from './regular.js';
import { signalNumberOf } from './signal-number.js';
import { nameOf, ownTid } from './threads.js';

/**
 * To whom signals go, and which: `undefined` where nobody was ever named.
 * What takes the place of another file by the user's choice has nothing of it, with a warning.
 * @param file the description as its kind has captured it
 * @throws Refusal where they go to others than the process, or would not be the same
 */
export function signalsOf(
  description: Description,
  file: UnlockedFile,
  context: KindContext,
): OpenFile['signals'] {
  const { pid, target, withCopy, warnings } = context;
  const entry = description.entries[0]!;
  const { fd, info } = entry;
  if (info.flags & O.PATH) return undefined;
  const { owner, signal } = withCopy(fd, (copy) => ({
    owner: fcntlGetOwner(copy),
    signal: fcntlGetsig(copy),
  }));
  if (owner.id === 0 && signal === 0 && !(info.flags & O.ASYNC)) return undefined;
  const known = ownerOf(pid, owner);
  const another = file.kind === 'external' || target.choices.replace.has(fd);
  // Whoever opened a stream may have had signals sent elsewhere.
  const ofOthers = file.kind === 'stream' && (known === null || known.kind === 'nobody');
  if (another || ofOthers) {
    if (another || info.flags & O.ASYNC) warnings.push(signalsLetGo(fd));
    return undefined;
  }
  if (known === null) throw new Refusal(strangerProblem(owner), false);
  const problem = dnotifyProblem(entry, owner) ?? closedProblem(file);
  if (problem !== null) throw new Refusal(problem, false);
  const number = signalNumberOf(description, signal, file, context);
  return { owner: known, signal, ...(number === undefined ? {} : { number }) };
}

/** Says that a descriptor will send no signals any more. */
export function signalsLetGo(fd: number): string {
  return `that descriptor ${fd} sends signals (F_SETOWN, O_ASYNC) is let go of`;
}

/** The owner, if that is the process, one of its threads, or nobody. */
function ownerOf(pid: number, { type, id }: FileOwner): FileSignal['owner'] | null {
  if (id === 0) return { kind: 'nobody' };
  if (type === 'process' && id === pid) return { kind: 'process' };
  if (type === 'thread' && id === pid) return { kind: 'thread', tid: null };
  const tid = type === 'thread' ? ownTid(pid, id) : null;
  return tid === null ? null : { kind: 'thread', tid };
}

function strangerProblem({ type, id }: FileOwner): string {
  if (type === 'group')
    return `it sends signals (F_SETOWN) to process group ${id}, which is another where the image is run`;
  return `it sends signals (F_SETOWN) to ${type} ${nameOf(id)}, which is not frozen with this one`;
}

/** Asking to be told of changes in a directory names the process as its owner. */
function dnotifyProblem({ stat }: Entry, owner: FileOwner): string | null {
  return fileType(stat) === 'directory' && owner.id !== 0
    ? 'it may send signals when the directory changes (F_NOTIFY), and the kernel does not tell of which changes'
    : null;
}

/** A connection that is closed by the freeze, or by rewriting, would have sent a signal. */
export function closedProblem(file: UnlockedFile): string | null {
  if (!(file.flags & O.ASYNC)) return null;
  const closed =
    (file.kind === 'inet' && file.ended !== null) || (file.kind === 'unix' && file.gone !== null);
  return closed ? 'it sends signals (O_ASYNC), and would send none for the end of its connection' : null;
}
