/** Another name (hard link) of a file that was deleted under the one by which it was opened. */
import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Entry } from './entries.js';
import { leadsHere } from './paths.js';
import type { Target } from './target.js';

/** How many entries of the file's folder are looked at, while the process is stopped. */
const MOST_ENTRIES = 20_000;

const known = new WeakMap<Target, Map<string, string | null>>();

/** A path to the file, among those of other descriptors and in the folder in which it was; `null` if none is found. */
export function otherName({ link, stat }: Entry, target: Target): string | null {
  const names = known.get(target) ?? new Map<string, string | null>();
  known.set(target, names);
  const key = `${stat.dev} ${stat.ino}`;
  const name = names.get(key) ?? find(dirname(link), stat, target);
  names.set(key, name);
  return name;
}

function find(folder: string, wanted: BigIntStats, target: Target): string | null {
  const isIt = (path: string): boolean => {
    const stat = unlessGone(() => lstatSync(target.root + path, { bigint: true }));
    return stat?.ino === wanted.ino && stat.dev === wanted.dev && leadsHere(path, target);
  };
  const opened = target.entries
    .filter(({ stat, link }) => stat.ino === wanted.ino && stat.dev === wanted.dev && link.startsWith('/'))
    .map(({ link }) => link)
    .find(isIt);
  if (opened !== undefined) return opened;
  const beside = unlessGone(() => readdirSync(target.root + folder)) ?? [];
  return (
    beside
      .slice(0, MOST_ENTRIES)
      .map((name) => join(folder, name))
      .find(isIt) ?? null
  );
}

function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
