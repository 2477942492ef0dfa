/** What stat(2) tells of a file that is made again: owner, mode and times, in an order in which none undoes another. */
import { call, tolerate } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';

const SECOND = 1_000_000_000n;

/** fchown(2), as far as whoever starts the image may. */
export function setOwner(fd: number, { uid, gid }: { readonly uid: number; readonly gid: number }): Op {
  return call('fchown', [fd, uid, gid], { check: tolerate('EPERM', 'EINVAL') });
}

/** fchmod(2). */
export function setMode(fd: number, mode: number, label: string): Op {
  return call('fchmod', [fd, mode], { label, text: `fchmod(${fd}, 0${mode.toString(8)})` });
}

/** utimensat(2): when it was read and written, in nanoseconds. */
export function setTimes(
  fd: number,
  { accessed, modified }: { readonly accessed: bigint; readonly modified: bigint },
  label: string,
  bench: Bench,
): Op {
  const bytes = Buffer.alloc(32); // struct timespec[2]
  [accessed, modified].forEach((time, i) => {
    const nanoseconds = ((time % SECOND) + SECOND) % SECOND;
    bytes.writeBigInt64LE((time - nanoseconds) / SECOND, i * 16);
    bytes.writeBigInt64LE(nanoseconds, i * 16 + 8);
  });
  return call('utimensat', [fd, 0, bench.arena.bytes(bytes), 0], {
    label,
    text: `utimensat(${fd}, NULL, [${accessed}ns, ${modified}ns], 0)`,
  });
}
