import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

const PAGE = 4096;

/** A folder that is there as long as the test runs. */
export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'proc2elf-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/**
 * Descriptor of a file of `pages` pages that has no name: every other page is all zero, the rest
 * full of `page number + 1`.
 */
export function openContent(pages: number): number {
  const directory = mkdtempSync(join(tmpdir(), 'proc2elf-test-'));
  const path = join(directory, 'content');
  const bytes = Buffer.alloc(pages * PAGE);
  for (let i = 0; i < pages; i += 2) bytes.fill((i + 1) & 0xff, i * PAGE, (i + 1) * PAGE);
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  rmSync(directory, { recursive: true });
  return fd;
}

/** The same, closed when the test ends. */
export function contentFile(t: ExecutionContext, pages: number): number {
  const fd = openContent(pages);
  t.teardown(() => closeSync(fd));
  return fd;
}
