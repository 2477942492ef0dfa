/** Sockets of other network namespaces than ours, which are not carried. */
import { readlinkSync } from 'node:fs';

export const ELSEWHERE = 'it belongs to another network namespace, which is not carried';

/** Why the sockets of a process are not carried; `null` if it is in our network namespace. */
export function elsewhereProblem(pid: number): string | null {
  return networkOf(String(pid)) === networkOf('self') ? null : ELSEWHERE;
}

/** `net:[4026531840]`; empty for a process that has ended meanwhile. */
function networkOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return '';
  }
}
