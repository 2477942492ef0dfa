import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let root: string | undefined;

/** A new empty folder, removed when this process ends. */
export function makeFolder(prefix: string): string {
  if (root === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'proc2elf-'));
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
    root = made;
  }
  return mkdtempSync(join(root, prefix));
}
