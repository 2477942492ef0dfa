/** Another name (hard link) of a file that was deleted under the one by which it was opened. */

import { lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { filePath } from '../../byte-text.js';
import { inodeKey } from '../inode.js';
import { unlessRefused } from '../read.js';
import type { Entry } from './entries.js';
import { lookThrough } from './folders.js';
import { once } from './once.js';
import { leadsHere, pathProblem } from './paths.js';
import { isRegular } from './regular.js';
import type { Target } from './target.js';

/** A path to the file, among those of other descriptors and in the folders in which it was; `null` if none is found. */
export function otherName({ stat }: Entry, target: Target): string | null {
  return once(target, 'other names of files', () => new Search(target)).find(inodeKey(stat));
}

/** Remembers what was found and what was not, and reads each folder once for all files that were in it. */
class Search {
  readonly #target: Target;
  /** Descriptors by file. */
  readonly #opened = new Map<string, Entry[]>();
  readonly #names = new Map<string, string | null>();
  readonly #beside = new Map<string, string>();
  readonly #folders = new Set<string>();

  constructor(target: Target) {
    this.#target = target;
    for (const entry of target.entries) {
      if (!isRegular(entry.stat) || !entry.link.startsWith('/')) continue;
      const key = inodeKey(entry.stat);
      const same = this.#opened.get(key);
      if (same) same.push(entry);
      else this.#opened.set(key, [entry]);
    }
  }

  find(key: string): string | null {
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const links = new Set((this.#opened.get(key) ?? []).map(({ link }) => link));
    const name = [...links].find((path) => this.#isAt(path, key)) ?? this.#findBeside(key, links) ?? null;
    this.#names.set(key, name);
    return name;
  }

  #findBeside(key: string, links: ReadonlySet<string>): string | undefined {
    for (const folder of new Set([...links].map((link) => dirname(link)))) {
      if (!this.#beside.has(key)) this.#read(folder);
    }
    return this.#beside.get(key);
  }

  #read(folder: string): void {
    if (this.#folders.has(folder)) return;
    this.#folders.add(folder);
    const wanted = this.#lostIn(folder);
    lookThrough(this.#target, folder, (entry, path) => {
      if (!entry.isFile()) return false;
      const key = this.#keyAt(path);
      if (key !== undefined && wanted.has(key) && leadsHere(path, this.#target)) {
        this.#beside.set(key, path);
        wanted.delete(key);
      }
      return wanted.size === 0;
    });
  }

  /** Files that have names still, but not the one by which they were opened in this folder. */
  #lostIn(folder: string): Set<string> {
    const lost = ({ link, stat }: Entry): boolean => stat.nlink > 0n && dirname(link) === folder;
    const entries = [...this.#opened.values()].flat().filter(lost);
    return new Set(
      entries.filter((entry) => pathProblem(entry, this.#target) !== null).map(({ stat }) => inodeKey(stat)),
    );
  }

  #isAt(path: string, key: string): boolean {
    return this.#keyAt(path) === key && leadsHere(path, this.#target);
  }

  #keyAt(path: string): string | undefined {
    const look = (): string => inodeKey(lstatSync(filePath(this.#target.root + path), { bigint: true }));
    return unlessRefused<string | undefined>(look, undefined);
  }
}
