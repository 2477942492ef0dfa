/** Locks on files: taken at the very end, as closing any descriptor of a file lets go of its POSIX locks. */
import type { FileLock, OpenFile } from '../../snapshot/descriptors.js';
import { call, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import { type Bench, STANDARD } from './bench.js';
import { control } from './calls.js';
import { borrowedNumber } from './signals.js';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

/**
 * The locks of all files: those of what is only on its way in sockets, while that has a number (none of them is a
 * POSIX lock); then those that may be taken before 0, 1 and 2 are placed, then the others. Where a number is borrowed for
 * signals, and closed again, all but the first are `last`.
 */
export function planLocks(bench: Bench): { sent: Op[]; early: Op[]; late: Op[]; last: Op[] } {
  const { files } = bench.table;
  const low = new Set(
    bench.table.descriptors.filter(({ fd }) => fd < STANDARD).map(({ file }) => identity(files[file]!)),
  );
  const sent: Op[] = [];
  const early: Op[] = [];
  const late: Op[] = [];
  const last: Op[] = [];
  const areLast = bench.places.some((place) => borrowedNumber(files[place.index]!, place) !== null);
  bench.places.forEach(({ at, descriptors, name }, index) => {
    const file = files[index]!;
    const fd = descriptors.find(({ fd }) => fd >= STANDARD)?.fd ?? descriptors[0]?.fd ?? at;
    const listed = fd < STANDARD || low.has(identity(file)) ? late : early;
    const numbered = areLast ? last : listed;
    const list = descriptors.length === 0 ? sent : numbered;
    for (const lock of file.locks)
      list.push(take(lock, fd, `cannot take the lock on ${describe(file)} (${name})`, bench));
  });
  return { sent, early, late, last };
}

/** What tells that two descriptions are of one file. */
function identity(file: OpenFile): string {
  if (file.kind === 'file') return file.path;
  return file.kind === 'object' ? `object ${file.object}` : file.kind;
}

function describe(file: OpenFile): string {
  return file.kind === 'file' ? file.path : `its ${file.kind}`;
}

function take(lock: FileLock, fd: number, label: string, bench: Bench): Op {
  // EAGAIN: somebody else holds it.
  const extra = { label, reason: 'another process holds a lock on it' };
  if (lock.type === 'flock') {
    const shown = `${lock.write ? 'LOCK_EX' : 'LOCK_SH'}|LOCK_NB`;
    return call('flock', [fd, (lock.write ? LOCK_EX : LOCK_SH) | LOCK_NB], {
      ...extra,
      text: `flock(${fd}, ${shown})`,
    });
  }
  const command = lock.type === 'posix' ? 'SETLK' : 'OFD_SETLK';
  return control(fd, command, bench.arena.bytes(structFlock(lock)), showLock(lock), extra);
}

/** `struct flock`: type, whence, start, length (0: to the end), pid. */
function structFlock({ write, first, last }: FileLock): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeInt16LE(write ? F_WRLCK : F_RDLCK, 0);
  bytes.writeBigUInt64LE(first, 8);
  bytes.writeBigUInt64LE(last === null ? 0n : last - first + 1n, 16);
  return bytes;
}

function showLock({ write, first, last }: FileLock): string {
  return `{${write ? 'F_WRLCK' : 'F_RDLCK'}, ${first}, ${last === null ? 'EOF' : last}}`;
}

/**
 * Under `--check`: whether the record locks could be taken, without taking them. For those of
 * flock(2) there is no such question.
 */
export function testLocks(file: Pick<OpenFile, 'locks'>, fd: Operand, label: string, bench: Bench): Op[] {
  return file.locks
    .filter(({ type }) => type !== 'flock')
    .flatMap((lock): Op[] => {
      const address = bench.arena.bytes(structFlock(lock));
      return [
        control(fd, 'OFD_GETLK', address, showLock(lock), { label }),
        {
          op: 'test',
          address,
          width: 2,
          mask: 0xffffn,
          check: { kind: 'equal', expected: F_UNLCK },
          label,
          reason: 'another process holds a lock on it',
          text: `test flock.l_type == F_UNLCK (${show(fd)})`,
        },
      ];
    });
}
