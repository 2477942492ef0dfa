/** What the user decided about single descriptors: `--drop-fd N` and `--fd N=PATH`. */
import { resolve } from 'node:path';
import { UsageError } from '../../errors.js';

/** Choices by descriptor number. */
export interface DescriptorChoices {
  /** Closed in the image. */
  readonly drop: ReadonlySet<number>;
  /** Opened by this absolute path at thaw, with the access mode that the descriptor has. */
  readonly replace: ReadonlyMap<number, string>;
}

/** No choices: what cannot be carried is refused. */
export const NO_CHOICES: DescriptorChoices = { drop: new Set(), replace: new Map() };

/**
 * Reads the values of the options.
 * @param drop values of `--drop-fd`, each a number
 * @param fd values of `--fd`, each `N=PATH`; a relative path starts at `folder`
 * @throws UsageError for what is neither
 */
export function parseChoices(
  drop: readonly (string | number)[],
  fd: readonly string[],
  folder: string = process.cwd(),
): DescriptorChoices {
  const dropped = new Set(drop.map((value) => parseNumber(String(value), '--drop-fd')));
  const replace = new Map<number, string>();
  for (const value of fd) {
    const equals = value.indexOf('=');
    if (equals < 0 || equals === value.length - 1) throw new UsageError(`--fd ${value}: say --fd N=PATH`);
    const number = parseNumber(value.slice(0, equals), '--fd');
    if (replace.has(number)) throw new UsageError(`--fd ${value}: descriptor ${number} has a path already`);
    if (dropped.has(number)) throw new UsageError(`--fd ${value}: --drop-fd ${number} was said, too`);
    replace.set(number, resolve(folder, value.slice(equals + 1)));
  }
  return { drop: dropped, replace };
}

function parseNumber(text: string, option: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new UsageError(`${option} ${text}: ${JSON.stringify(text)} is no descriptor number`);
  return Number(text);
}
