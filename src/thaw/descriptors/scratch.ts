/** `--scratch DIR`: files that are made in a folder of the user's, without a name, so that they end with the process. */
import { quoted } from '../../byte-text.js';
import { AT_FDCWD, O } from '../../fcntl.js';
import type { MemoryObject } from '../../snapshot/schema.js';
import { call, show } from '../calls.js';
import { openFlagNames } from '../flags.js';
import { type Cell, Flag, type Op, type Operand } from '../program.js';
import type { Bench } from './bench.js';
import { close, duplicate } from './calls.js';

/** Until the file gets the mode that it had: it has to be opened again, whatever the umask says. */
const MODE = 0o600;
const FOLDER = 'cannot use the folder of --scratch';
const TEMPORARY = O.RDWR | O.TMPFILE | O.CLOEXEC;
/** What file systems and kernels answer that do not know files without a name. */
const UNKNOWN = ['EOPNOTSUPP', 'EISDIR'];

/** Opens the folder whose name's address a cell holds. Without the option nothing is done. */
export function openScratch(at: number, scratch: Cell, bench: Bench): Op[] {
  const flags = O.PATH | O.DIRECTORY | O.CLOEXEC;
  const cell = bench.arena.cell();
  return onlyScratch([
    call('openat', [AT_FDCWD, scratch, flags, 0], {
      label: FOLDER,
      result: cell,
      text: `openat(AT_FDCWD, ${show(scratch)}, ${openFlagNames(flags)})`,
    }),
    duplicate(cell, at, true),
    close(cell),
  ]);
}

/** Whether files can be made there. What is made has no name, and is gone at once. */
export function testScratch(scratch: Cell, bench: Bench): Op[] {
  const cell = bench.arena.cell();
  const made = openFile(AT_FDCWD, scratch, show(scratch), TEMPORARY);
  return onlyScratch([
    { ...made, label: FOLDER, result: cell, check: { kind: 'ok', tolerated: UNKNOWN } } as Op,
    close(cell),
  ]);
}

/**
 * Makes a file, which is left in `made`. Without the option nothing is done.
 * @param folder the descriptor of {@link openScratch}
 */
export function makeScratchFile(
  made: Cell,
  folder: number,
  { inode }: Pick<MemoryObject, 'inode'>,
  label: string,
  bench: Bench,
): Op[] {
  const name = (text: string) => bench.arena.string(text);
  const [named, done] = [bench.mark(), bench.mark()];
  const short = `.proc2elf-${inode}`;
  const make = (path: string, flags: number) => ({
    ...openFile(folder, name(path), quoted(path), flags),
    ...{ label, result: made },
  });
  return onlyScratch([
    { ...make('.', TEMPORARY), check: { kind: 'ok', tolerated: UNKNOWN, jump: named! } } as Op,
    { op: 'jump', to: done! },
    { op: 'mark', name: named! },
    make(short, O.RDWR | O.CREAT | O.EXCL | O.CLOEXEC) as Op,
    call('unlinkat', [folder, name(short), 0], {
      label,
      text: `unlinkat(${folder}, ${quoted(short)}, 0)`,
    }),
    { op: 'mark', name: done! },
    call('fchmod', [made, MODE], { label, text: `fchmod(${show(made)}, 0600)` }),
  ]);
}

function openFile(folder: number, path: Operand, shown: string, flags: number): Op {
  return call('openat', [folder, path, flags, MODE], {
    text: `openat(${folder === AT_FDCWD ? 'AT_FDCWD' : folder}, ${shown}, ${openFlagNames(flags)}, 0600)`,
  });
}

function onlyScratch(ops: readonly Op[]): Op[] {
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, when: Flag.SCRATCH }));
}
