/** What ioctl_tty(2) tells of a pseudoterminal, from a duplicate of one of its sides. */
import { TIOC, TYPING_MODES } from '../pty.js';
import { addon, type PtyQueues } from './addon.js';
import { ioctl } from './syscalls.js';

/** Switches of a master. */
export interface PtySwitches {
  readonly packets: boolean;
  readonly locked: boolean;
  readonly exclusive: boolean;
}

/** Reads the switches of a master. @throws EIO where it was hung up */
export function masterSwitches(fd: number): PtySwitches {
  return {
    packets: integer(fd, TIOC.GPKT) !== 0,
    locked: integer(fd, TIOC.GPTLCK) !== 0,
    exclusive: integer(fd, TIOC.GEXCL) !== 0,
  };
}

/** TIOCGETD: number of the line discipline; 0 is the usual one. @throws EIO where the terminal was hung up */
export function lineDiscipline(fd: number): number {
  return integer(fd, TIOC.GETD);
}

/** TIOCGSID: whether a session has the terminal that a master belongs to as its controlling one. */
export function controlsSession(master: number): boolean {
  try {
    integer(master, TIOC.GSID);
    return true;
  } catch {
    return false; // ENOTTY
  }
}

/** What is under way, taken and put back. The processes that have the terminal must be stopped. See {@link Addon.pty}. */
export function ptyQueues(master: number, { packets, locked }: PtySwitches): PtyQueues {
  return addon.pty(master, packets, locked, TYPING_MODES);
}

function integer(fd: number, request: number): number {
  const value = new Int32Array(1);
  ioctl(fd, request, new Uint8Array(value.buffer));
  return value[0]!;
}
