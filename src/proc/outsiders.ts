/** Processes that stay behind when one is frozen, and what they have open. */
import { readdirSync } from 'node:fs';
import { childrenOf } from './preflight.js';
import { processIds, readLink, readProcText, unlessRefused } from './read.js';

/** An open descriptor of another process. */
export interface OutsideDescriptor {
  readonly pid: number;
  readonly fd: number;
  readonly link: string;
  /** In `/proc`. */
  readonly path: string;
}

/** Ids of all processes but the tool and `pid`, to be looked at from outside. */
export function outsiders(pid: number): number[] {
  return processIds().filter((id) => id !== process.pid && id !== pid);
}

/** Ids of all processes that descend from `pid`, by parents that live. */
export function descendantsOf(pid: number): ReadonlySet<number> {
  const found = new Set<number>();
  addChildren(pid, found);
  for (const known of found) addChildren(known, found);
  return found;
}

function addChildren(pid: number, to: Set<number>): void {
  try {
    for (const child of childrenOf(pid)) to.add(child);
  } catch {
    // ended
  }
}

/** Descriptors of another process; none of one that has ended or may not be looked at. */
export function descriptorsOf(pid: number): OutsideDescriptor[] {
  const folder = `/proc/${pid}/fd`;
  return unlessRefused(() => readdirSync(folder), []).flatMap((name) => {
    const path = `${folder}/${name}`;
    const link = unlessRefused(() => readLink(path), null);
    return link === null ? [] : [{ pid, fd: Number(name), link, path }];
  });
}

/** `/proc/PID/maps` of another process. */
export function mapsOf(pid: number): string {
  return unlessRefused(() => readProcText(pid, 'maps'), '');
}
