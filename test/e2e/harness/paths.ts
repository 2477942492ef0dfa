/** Where things lie. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository, seen from `dist/test/e2e/harness`. */
export const repository: string = fileURLToPath(new URL('../../../../', import.meta.url));

/** The command line as npm installs it. */
export const cli: string = join(repository, 'dist/cli/main.js');

/** A self-checking program that `test/targets/Makefile` built. */
export function target(name: string): string {
  return join(repository, 'test/targets/bin', name);
}

/** A source file beside the targets. */
export function script(name: string): string {
  return join(repository, 'test/targets', name);
}

function allows(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** Full path of a program, looked up in PATH, or of any file; undefined if it is not there. */
export function which(program: string): string | undefined {
  if (program.includes('/')) return allows(program, constants.F_OK) ? program : undefined;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, program)).find((path) => allows(path, constants.X_OK));
}
