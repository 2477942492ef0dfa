/** System calls on descriptors as operations, with the text that strace would print. */

import { quoted } from '../../byte-text.js';
import { AT_FDCWD, FD_CLOEXEC, O } from '../../fcntl.js';
import type { Arena } from '../arena.js';
import { call, type Extra, show } from '../calls.js';
import { F, openFlagNames } from '../flags.js';
import { Flag, type Op, type Operand } from '../program.js';

/** openat(2) of an absolute path. */
export function open(arena: Arena, path: string, flags: number, extra: Extra = {}): Op {
  return openAt(arena, AT_FDCWD, path, flags, extra);
}

/** openat(2). */
export function openAt(arena: Arena, folder: Operand, path: string, flags: number, extra: Extra = {}): Op {
  const shown = folder === AT_FDCWD ? 'AT_FDCWD' : show(folder);
  return call('openat', [folder, arena.string(path), flags, 0], {
    text: `openat(${shown}, ${quoted(path)}, ${openFlagNames(flags)})`,
    ...extra,
  });
}

/** dup3(2). */
export function duplicate(from: Operand, to: number, closeOnExec: boolean, extra: Extra = {}): Op {
  return call('dup3', [from, to, closeOnExec ? O.CLOEXEC : 0], {
    text: `dup3(${show(from)}, ${to}, ${closeOnExec ? 'O_CLOEXEC' : '0'})`,
    ...extra,
  });
}

/** close(2); whether it succeeds does not matter. */
export function close(fd: Operand): Op {
  return call('close', [fd], { check: { kind: 'none' } });
}

/** close_range(2), both ends included; nothing for an empty range. */
export function closeRange(first: number, last: number): Op[] {
  if (first > last) return [];
  const end = last === 0xffff_ffff ? '~0U' : String(last);
  return [
    call('close_range', [first, last, 0], {
      label: "cannot close descriptors that are not the program's",
      text: `close_range(${first}, ${end}, 0)`,
    }),
  ];
}

/** fcntl(2). `shown`: the argument in words. */
export function control(
  fd: Operand,
  command: keyof typeof F,
  argument: Operand,
  shown: string,
  extra: Extra = {},
): Op {
  return call('fcntl', [fd, F[command], argument], {
    text: `fcntl(${show(fd)}, F_${command}${shown === '' ? '' : `, ${shown}`})`,
    ...extra,
  });
}

/** fcntl(2) F_SETFD: the descriptor is closed when the process executes another program. */
export function setCloseOnExec(fd: number): Op {
  return control(fd, 'SETFD', FD_CLOEXEC, 'FD_CLOEXEC');
}

/** What F_SETFL can set; the rest is given when a file is opened. */
const SETTABLE = O.APPEND | O.NONBLOCK | O.DIRECT | O.NOATIME;

/** The part of a description's flags that F_SETFL decides. */
export function settable(flags: number): number {
  return flags & SETTABLE;
}

/** F_SETFL with what it can set of `flags`. */
export function setFlags(fd: number, flags: number, extra: Extra = {}): Op {
  return control(
    fd,
    'SETFL',
    settable(flags),
    openFlagNames(settable(flags)).replace(/^O_RDONLY\|?/, '') || '0',
    extra,
  );
}

/** lseek(2) from the start; must get there. */
export function seek(fd: Operand, offset: bigint, extra: Extra = {}): Op {
  return call('lseek', [fd, offset, 0], {
    check: { kind: 'equal', expected: offset },
    text: `lseek(${show(fd)}, ${offset}, SEEK_SET)`,
    ...extra,
  });
}

/** write(2) of bytes; all of them must go. */
export function write(arena: Arena, fd: Operand, bytes: Uint8Array, extra: Extra = {}): Op {
  return call('write', [fd, arena.bytes(bytes), bytes.length], {
    check: { kind: 'equal', expected: bytes.length },
    text: `write(${show(fd)}, [${bytes.length} bytes], ${bytes.length})`,
    ...extra,
  });
}

/** Events of poll(2) that operations wait for. */
const POLL = { IN: 1, OUT: 4 } as const;

/**
 * poll(2) of one descriptor.
 * @param timeout in milliseconds; -1: as long as it takes
 */
export function poll(
  arena: Arena,
  fd: number,
  events: readonly (keyof typeof POLL)[],
  timeout: number,
  extra: Extra = {},
): Op {
  const one = Buffer.alloc(8); // struct pollfd
  one.writeInt32LE(fd, 0);
  one.writeInt16LE(
    events.reduce((bits, event) => bits | POLL[event], 0),
    4,
  );
  return call('poll', [arena.bytes(one), 1, timeout], {
    text: `poll([{fd=${fd}, events=${events.map((event) => `POLL${event}`).join('|')}}], 1, ${timeout})`,
    ...extra,
  });
}

/** Operations that are left out under `--check`. */
export function unlessCheck(ops: readonly Op[]): Op[] {
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, unless: (op.unless ?? 0) | Flag.CHECK }));
}
