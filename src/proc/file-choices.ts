/** What the user decided about files by path: `--files reopen|embed`, `--file PATH=reopen|embed|NEWPATH`. */

import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { filePath } from '../byte-text.js';
import { UsageError } from '../errors.js';
import { type Inode, inodeKey } from './inode.js';

/**
 * What becomes of a regular file.
 * - `reopen`: opened again by its path
 * - `embed`: its content travels in the image, and each thawed copy has a private copy of its own
 * - `open`: opened by another path
 */
export type FileChoice =
  | { readonly kind: 'reopen' | 'embed' }
  | { readonly kind: 'open'; readonly path: string };

/** Choices by absolute path, and for all other files. */
export interface FileChoices {
  readonly all: 'reopen' | 'embed';
  readonly paths: ReadonlyMap<string, FileChoice>;
}

/** Every file is opened again. */
export const NO_FILE_CHOICES: FileChoices = { all: 'reopen', paths: new Map() };

/** Reads the value of `--files`. @throws UsageError */
export function parseFiles(text: string): FileChoices['all'] {
  if (text === 'reopen' || text === 'embed') return text;
  throw new UsageError(`--files ${text}: say --files reopen or --files embed`);
}

/**
 * Reads the values of the options.
 * @param all what becomes of the files that `single` does not name
 * @param single values of `--file`, each `PATH=reopen`, `PATH=embed` or `PATH=NEWPATH`; relative paths start at `folder`.
 *   The last `=` counts: the path that a process has may hold some.
 * @throws UsageError for what is none of these, and for a path given twice
 */
export function parseFileChoices<All extends string>(
  all: All,
  single: readonly string[],
  folder: string = process.cwd(),
): { readonly all: All; readonly paths: ReadonlyMap<string, FileChoice> } {
  const paths = new Map<string, FileChoice>();
  for (const value of single) {
    const equals = value.lastIndexOf('=');
    if (equals < 1 || equals === value.length - 1) {
      throw new UsageError(`--file ${value}: say --file PATH=reopen, PATH=embed or PATH=NEWPATH`);
    }
    const path = resolve(folder, value.slice(0, equals));
    const what = value.slice(equals + 1);
    if (paths.has(path)) throw new UsageError(`--file ${value}: ${path} is given twice`);
    paths.set(
      path,
      what === 'reopen' || what === 'embed' ? { kind: what } : { kind: 'open', path: resolve(folder, what) },
    );
  }
  return { all, paths };
}

/** What the kernel appends to the path of a file that was deleted under it. */
const DELETED = ' (deleted)';

/** The choices applied to the files of a process: a file is the same by each of its names. */
export class FileDecisions {
  readonly #choices: FileChoices;
  /** Path by which the user named a file, by the file. */
  readonly #named = new Map<string, string>();
  /** Paths given by the user that lead nowhere: those of deleted files. */
  readonly #gone = new Set<string>();
  readonly #root: string;
  readonly #unused: Set<string>;
  readonly #embedded = new Set<string>();
  readonly #written = new Set<string>();

  /** @throws UsageError if two paths with different choices name one file */
  constructor(choices: FileChoices = NO_FILE_CHOICES, root = '') {
    this.#choices = choices;
    this.#root = root;
    this.#unused = new Set(choices.paths.keys());
    for (const [path, choice] of choices.paths) {
      const key = keyAt(root + path);
      if (key === null) {
        this.#gone.add(path);
        continue;
      }
      const other = this.#named.get(key);
      if (other !== undefined && !isSame(choice, choices.paths.get(other)!)) {
        throw new UsageError(
          `--file ${path}: it is the same file as ${other}, for which another choice is given`,
        );
      }
      this.#named.set(key, path);
    }
  }

  /** What the user said of this very file, or `null`. */
  chosen(path: string, file: Inode): FileChoice | null {
    const exact = this.#choices.paths.has(path) ? path : this.#named.get(inodeKey(file));
    const name = exact ?? this.#nameOfDeleted(path, file);
    if (name === undefined) return null;
    this.#unused.delete(name);
    return this.#choices.paths.get(name)!;
  }

  /** The path given for a file that was deleted under it: nobody types what the kernel appends. */
  #nameOfDeleted(path: string, file: Inode): string | undefined {
    if (!path.endsWith(DELETED)) return undefined;
    const name = path.slice(0, -DELETED.length);
    // A file may be called so, and not be deleted at all.
    return this.#gone.has(name) && keyAt(this.#root + path) !== inodeKey(file) ? name : undefined;
  }

  /** What becomes of a file. */
  of(path: string, file: Inode): FileChoice {
    const general = this.#embedded.has(inodeKey(file)) ? 'embed' : this.#choices.all;
    return this.chosen(path, file) ?? { kind: general };
  }

  /** Notes that a file is embedded as it is mapped: its descriptors have to follow. */
  embed(file: Inode): void {
    this.#embedded.add(inodeKey(file));
  }

  /** Notes that the process writes to a file, by a mapping or a descriptor. */
  write(file: Inode): void {
    this.#written.add(inodeKey(file));
  }

  isWritten(file: Inode): boolean {
    return this.#written.has(inodeKey(file));
  }

  /** To be called when all files were seen. @throws UsageError for a path that is none of theirs */
  assertUsed(pid: number): void {
    const [path] = this.#unused;
    if (path === undefined) return;
    throw new UsageError(
      `--file ${path}: process ${pid} has no descriptor and no shared mapping of a regular file by this path that is not dropped or replaced`,
    );
  }
}

function keyAt(path: string): string | null {
  try {
    return inodeKey(statSync(filePath(path), { bigint: true }));
  } catch {
    return null;
  }
}

function isSame(a: FileChoice, b: FileChoice): boolean {
  return a.kind === b.kind && (a.kind !== 'open' || b.kind !== 'open' || a.path === b.path);
}
