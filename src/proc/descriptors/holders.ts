/** Who else holds a pipe: a look at the descriptors of every process. */
import { readdirSync, readlinkSync } from 'node:fs';

/** Pipes and FIFOs that processes other than the target hold. */
export interface PipeHolders {
  /** Their links. */
  readonly held: ReadonlySet<string>;
  /** Every process could be looked at: what is not in `held` is held by nobody in this pid namespace. */
  readonly complete: boolean;
}

/** Links of the target's pipes and FIFOs: `pipe:[123]`, `/run/fifo`. */
export type PipeLink = string;

/**
 * Looks for `links` among the descriptors of all processes but `pid`.
 * A FIFO seen under another path (mount namespaces) is not found.
 */
export function findPipeHolders(pid: number, links: ReadonlySet<PipeLink>): PipeHolders {
  const held = new Set<string>();
  let complete = true;
  if (links.size === 0) return { held, complete };
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === pid) continue;
    let fds: string[];
    try {
      fds = readdirSync(`/proc/${name}/fd`);
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
      try {
        const link = readlinkSync(`/proc/${name}/fd/${fd}`);
        if (links.has(link)) held.add(link);
      } catch {
        // closed meanwhile
      }
    }
  }
  return { held, complete };
}
