/** Memory objects that a region shows without leave to write to them: through a description of its own. */
import { AT_FDCWD, O } from '../fcntl.js';
import type { Process, Region } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { call } from './calls.js';
import type { Cell, Op } from './program.js';

/** Descriptors by the index of their object, and what opens them; whatever closes all but the program's own closes them. */
export interface Readers {
  readonly fds: ReadonlyMap<number, Cell>;
  readonly ops: readonly Op[];
}

/**
 * Whether a region must not become writable (VM_MAYWRITE): mprotect(2) would permit it otherwise, and the seal
 * `F_SEAL_WRITE` could not be set.
 */
export function isReadOnly({ shared, flags }: Region): boolean {
  return shared && !flags.includes('mw');
}

/** @param objects descriptor of each memory object; `null` for shared anonymous memory, which cannot be opened */
export function planReaders(
  arena: Arena,
  { regions }: Pick<Process, 'regions'>,
  objects: readonly (number | null)[],
): Readers {
  const shown = regions.flatMap((region) =>
    region.backing.kind === 'object' && isReadOnly(region) ? [region.backing.object] : [],
  );
  const fds = new Map([...new Set(shown)].filter((i) => objects[i] != null).map((i) => [i, arena.cell()]));
  const ops = [...fds].map(([index, result]) => {
    const path = `/proc/self/fd/${objects[index]}`;
    return call('openat', [AT_FDCWD, arena.string(path), O.RDONLY | O.CLOEXEC, 0], {
      result,
      label: `cannot open memory object ${index} for reading`,
      text: `openat(AT_FDCWD, ${JSON.stringify(path)}, O_RDONLY|O_CLOEXEC)`,
    });
  });
  return { fds, ops };
}
