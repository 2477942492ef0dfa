/** What the user wants otherwise in an image: the values of the options of `proc2elf rewrite`. */
import { resolve } from 'node:path';
import { UsageError } from '../errors.js';
import type { DescriptorChoices } from '../proc/descriptors/choices.js';
import type { FileChoice } from '../proc/file-choices.js';

/** What becomes of regular files: all of them, but those named, as they are unless said otherwise. */
export interface FileChanges {
  readonly all: 'reopen' | 'embed' | 'keep';
  readonly paths: ReadonlyMap<string, FileChoice>;
}

/** Changes to an image. All paths are absolute. */
export interface ImageChanges {
  readonly descriptors: DescriptorChoices;
  readonly files: FileChanges;
  /** Beginnings of paths, and what stands there instead. The longest that matches counts. */
  readonly paths: ReadonlyMap<string, string>;
  /** The working directory. */
  readonly cwd?: string;
  /** Values in the environment block. */
  readonly environment: ReadonlyMap<string, string>;
}

/** Reads values of `--path OLD=NEW`; the last `=` counts. @throws UsageError */
export function parsePaths(values: readonly string[], folder: string = process.cwd()): Map<string, string> {
  const paths = new Map<string, string>();
  for (const value of values) {
    const equals = value.lastIndexOf('=');
    if (equals < 1 || equals === value.length - 1)
      throw new UsageError(`--path ${value}: say --path OLD=NEW`);
    const old = resolve(folder, value.slice(0, equals));
    if (paths.has(old)) throw new UsageError(`--path ${value}: ${old} is given twice`);
    paths.set(old, resolve(folder, value.slice(equals + 1)));
  }
  return paths;
}

/** Reads values of `--env NAME=VALUE`. @throws UsageError */
export function parseEnvironment(values: readonly string[]): Map<string, string> {
  const environment = new Map<string, string>();
  for (const value of values) {
    const equals = value.indexOf('=');
    if (equals < 1) throw new UsageError(`--env ${value}: say --env NAME=VALUE`);
    const name = value.slice(0, equals);
    if (environment.has(name)) throw new UsageError(`--env ${value}: ${name} is given twice`);
    environment.set(name, value.slice(equals + 1));
  }
  return environment;
}
