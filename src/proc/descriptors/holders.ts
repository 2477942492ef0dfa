/** Who else holds something: a look at the descriptors of every process. */
import { readdirSync, readlinkSync } from 'node:fs';
import { processIds } from '../read.js';

/** What processes other than the target hold. */
export interface Holders<K> {
  /** Of what was asked for; each with a process that holds it. */
  readonly held: ReadonlyMap<K, number>;
  /** Every process could be looked at: what is not in `held` is held by nobody in this pid namespace. */
  readonly complete: boolean;
}

/**
 * Looks among the descriptors of all processes but `pid`.
 * @param ours descriptors of this process that are duplicates of the target's
 * @param keyOf what a descriptor stands for, by its link and its path in `/proc`; `null`: nothing that is asked for.
 *   It may throw where the descriptor is closed meanwhile, or may not be looked at.
 */
export function findHolders<K>(
  pid: number,
  ours: ReadonlySet<number>,
  keyOf: (link: string, path: string, holder: number) => K | null,
): Holders<K> {
  const held = new Map<K, number>();
  let complete = true;
  for (const holder of processIds()) {
    if (holder === pid) continue;
    let fds: string[];
    try {
      fds = readdirSync(`/proc/${holder}/fd`);
    } catch (error) {
      // A process that has ended holds nothing.
      if (
        !(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      ) {
        complete = false;
      }
      continue;
    }
    for (const fd of fds) {
      if (holder === process.pid && ours.has(Number(fd))) continue;
      const path = `/proc/${holder}/fd/${fd}`;
      try {
        const key = keyOf(readlinkSync(path), path, holder);
        if (key !== null && !held.has(key)) held.set(key, holder);
      } catch {
        // closed meanwhile
      }
    }
  }
  return { held, complete };
}

/**
 * Looks for pipes and FIFOs by their links: `pipe:[123]`, `/run/fifo`.
 * A FIFO seen under another path (mount namespaces) is not found.
 */
export function findPipeHolders(
  pid: number,
  ours: ReadonlySet<number>,
  links: ReadonlySet<string>,
): Holders<string> {
  if (links.size === 0) return { held: new Map(), complete: true };
  return findHolders(pid, ours, (link) => (links.has(link) ? link : null));
}
