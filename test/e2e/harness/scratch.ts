import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** A directory of the test's own, removed at its end. */
export function scratch(t: ExecutionContext<unknown>): string {
  const folder = mkdtempSync(join(tmpdir(), 'proc2elf-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
