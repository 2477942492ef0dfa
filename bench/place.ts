/** Where a run keeps its files, and the helpers that it builds there. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A folder for images: on disk, or in memory. */
export interface Place {
  readonly name: string;
  readonly folder: string;
}

/** What the benchmarks need on the machine. */
export interface Bench {
  /** Folders of this run's own. */
  readonly places: readonly Place[];
  /** Path of a helper, built from `bench/<name>.c`. */
  helper(name: string): string;
  /** Removes every folder. */
  remove(): void;
}

const HELPERS = ['target', 'read', 'launch', 'warm'];
const sources = fileURLToPath(new URL('../../bench/', import.meta.url));

/** Makes the folders and builds the helpers. @throws Error if gcc is missing or fails */
export function prepareBench(): Bench {
  const parents = [
    { name: 'disk', parent: tmpdir() },
    { name: 'tmpfs', parent: '/dev/shm' },
  ].filter(({ parent }) => existsSync(parent));
  const places = parents.map(({ name, parent }) => ({
    name,
    folder: mkdtempSync(join(parent, 'proc2elf-bench-')),
  }));
  const remove = (): void => {
    for (const { folder } of places) rmSync(folder, { recursive: true, force: true });
  };
  const helper = (name: string): string => join(places[0]!.folder, name);
  try {
    for (const name of HELPERS) {
      const source = join(sources, `${name}.c`);
      execFileSync('gcc', ['-O2', '-pthread', '-o', helper(name), source], { stdio: 'inherit' });
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { places, helper, remove };
}
