/** Pseudoterminals: `asm-generic/ioctls.h`, `asm-generic/termbits.h`. */

import { basename, dirname, join } from 'node:path/posix';

/** Where the slave with a number is, by the path of the master: in `pts` beside it, or in the same folder. */
export function slavePath(master: string, number: number): string {
  const folder = dirname(master);
  return join(folder, basename(folder) === 'pts' ? '' : 'pts', String(number));
}

/** Numbers of ioctl_tty(2). */
export const TIOC = {
  TCSETS2: 0x402c542b,
  EXCL: 0x540c,
  GEXCL: 0x80045440,
  GLCKTRMIOS: 0x5456,
  GDEV: 0x80045432,
  GETD: 0x5424,
  GPGRP: 0x540f,
  GPKT: 0x80045438,
  GPTLCK: 0x80045439,
  GPTN: 0x80045430,
  GPTPEER: 0x5441,
  GSID: 0x5429,
  PKT: 0x5420,
  SCTTY: 0x540e,
  SPTLCK: 0x40045431,
  SWINSZ: 0x5414,
} as const;

/** Keys that mean something in {@link TYPING_MODES}; each by its place in `c_cc`. */
const KEYS = { END: 4, START: 8, STOP: 9, QUOTE: 15 } as const;
const C_CC = 17;

/** Starts and stops output. */
export const START_KEY = 0x11;
export const STOP_KEY = 0x13;
/** Takes the meaning from the key behind it. */
const QUOTE_KEY = 0x16;

/**
 * `struct termios2` in which what is typed becomes input as it is, line by line, with a key that ends a line without
 * a newline and one that quotes; there is no echo, and output passes unchanged.
 */
export const TYPING_MODES: Uint8Array = typingModes();

function typingModes(): Uint8Array {
  const IXON = 0x400;
  const CONTROL = 0xbf; // B38400|CS8|CREAD, as a new terminal has it
  const ICANON = 2;
  const IEXTEN = 0x8000;
  const modes = Buffer.alloc(44);
  [IXON, 0, CONTROL, ICANON | IEXTEN].forEach((flags, i) => {
    modes.writeUInt32LE(flags, i * 4);
  });
  modes[C_CC + KEYS.END] = 0x04;
  modes[C_CC + KEYS.START] = START_KEY;
  modes[C_CC + KEYS.STOP] = STOP_KEY;
  modes[C_CC + KEYS.QUOTE] = QUOTE_KEY;
  modes.writeUInt32LE(38400, 36);
  modes.writeUInt32LE(38400, 40);
  return modes;
}

/** Bytes of output that always fit into a new terminal at once: half of what it holds. */
export const MOST_OUTPUT = 8000;
/** Bytes of input that leave room for the next key. */
export const MOST_INPUT = 4000;

/** Bytes of input that come of what is typed in {@link TYPING_MODES}: a key that quotes leaves none. */
export function inputLength(typed: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < typed.length; i++) {
    if (typed[i] === QUOTE_KEY) i++;
    length++;
  }
  return length;
}
