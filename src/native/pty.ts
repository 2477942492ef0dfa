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

/**
 * TIOCGSID: the session whose controlling terminal a master belongs to; 0: of another pid namespace; `null`: it
 * controls none.
 */
export function controlledSession(master: number): number | null {
  try {
    return integer(master, TIOC.GSID);
  } catch {
    return null; // ENOTTY
  }
}

/** TIOCGPGRP: the foreground process group of the session that a master's terminal controls. */
export function foregroundGroup(master: number): number {
  return integer(master, TIOC.GPGRP);
}

/** TIOCGLCKTRMIOS: whether some of a terminal's modes cannot be changed. */
export function hasLockedModes(fd: number): boolean {
  const locks = new Uint8Array(44); // struct termios2
  ioctl(fd, TIOC.GLCKTRMIOS, locks);
  return locks.some((byte) => byte !== 0);
}

/** TIOCGDEV: device number (stat's encoding) of a terminal, by whatever name it was opened. @throws EIO where it was hung up */
export function terminalDevice(fd: number): bigint {
  return BigInt(integer(fd, TIOC.GDEV) >>> 0);
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
