/** Who else holds something: a look at the descriptors of every process. */
import { readdirSync } from 'node:fs';
import { errnoOf } from '../../errno.js';
import { processIds, readLink } from '../read.js';

/** What processes other than the target hold. */
export interface Holders<K> {
  /** Of what was asked for; each with a process that holds it. */
  readonly held: ReadonlyMap<K, number>;
  /** Every process could be looked at: what is not in `held` is held by nobody in this pid namespace. */
  readonly complete: boolean;
}

/** A descriptor of another process. */
interface Held {
  readonly holder: number;
  readonly link: string;
  /** In `/proc`. */
  readonly path: string;
}

/**
 * The descriptors of all processes but the target. They are looked at once, when somebody asks: on a
 * machine with many processes that takes a while, for which the target is held.
 */
export class OthersDescriptors {
  readonly #pid: number;
  readonly #ours: ReadonlySet<number>;
  #seen: { readonly descriptors: readonly Held[]; readonly complete: boolean } | undefined;

  /** @param ours descriptors of this process that are duplicates of the target's */
  constructor(pid: number, ours: ReadonlySet<number>) {
    this.#pid = pid;
    this.#ours = ours;
  }

  /**
   * Looks for something.
   * @param keyOf what a descriptor stands for, by its link and its path in `/proc`; `null`: nothing that is asked
   *   for. It may throw where the descriptor is closed meanwhile, or may not be looked at.
   */
  find<K>(keyOf: (link: string, path: string, holder: number) => K | null): Holders<K> {
    this.#seen ??= this.#look();
    const { descriptors, complete } = this.#seen;
    const held = new Map<K, number>();
    for (const { holder, link, path } of descriptors) {
      try {
        const key = keyOf(link, path, holder);
        if (key !== null && !held.has(key)) held.set(key, holder);
      } catch {
        // closed meanwhile
      }
    }
    return { held, complete };
  }

  /**
   * Looks for pipes, FIFOs and sockets by their links: `pipe:[123]`, `/run/fifo`.
   * A FIFO seen under another path (mount namespaces) is not found.
   */
  findLinks(links: ReadonlySet<string>): Holders<string> {
    if (links.size === 0) return { held: new Map(), complete: true };
    return this.find((link) => (links.has(link) ? link : null));
  }

  #look(): { descriptors: Held[]; complete: boolean } {
    const descriptors: Held[] = [];
    let complete = true;
    for (const holder of processIds()) {
      if (holder === this.#pid) continue;
      let fds: string[];
      try {
        fds = readdirSync(`/proc/${holder}/fd`);
      } catch (error) {
        // A process that has ended holds nothing.
        if (!['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '')) complete = false;
        continue;
      }
      for (const fd of fds) {
        if (holder === process.pid && this.#ours.has(Number(fd))) continue;
        const path = `/proc/${holder}/fd/${fd}`;
        try {
          descriptors.push({ holder, link: readLink(path), path });
        } catch {
          // closed meanwhile
        }
      }
    }
    return { descriptors, complete };
  }
}
