/** The two sides of a pseudoterminal that the process has to itself. */
import * as z from 'zod';
import { inputLength, MOST_INPUT, MOST_OUTPUT } from '../../pty.js';
import { bytes, index, int, text } from '../fields.js';
import { common, letGo, ptyNumber, termios, winsize } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('pty-master'),
  ...common,
  /** By which it is opened: `/dev/ptmx`. */
  path: text,
  /** N of `/dev/pts/N`. */
  number: ptyNumber,
  /** `struct termios2` and `struct winsize`. */
  modes: termios,
  size: winsize,
  /** Packet mode (TIOCPKT). */
  packets: z.boolean(),
  /** The slave side cannot be opened (TIOCSPTLCK). */
  locked: z.boolean(),
  /** Sides that cannot be opened again (TIOCEXCL). */
  exclusive: z.object({ master: z.boolean(), slave: z.boolean() }),
  /** What brings back the input that the slave has not read, if it is typed in `TYPING_MODES`. */
  typed: bytes.refine((value) => inputLength(value) <= MOST_INPUT, 'is more than fits'),
  /** What the master has not read. */
  output: bytes.refine((value) => value.length <= MOST_OUTPUT, 'is more than fits'),
  letGo,
  /** Nobody has opened the slave yet: nothing has been typed, and the master does not find it closed. */
  unopened: z.literal(true).optional(),
  /** It is the controlling terminal of the process, which leads its session, and is in the foreground. */
  controls: z.boolean().default(false),
  /** Of `/dev/pts/N`; `null` where that is not there. */
  node: z.object({ mode: int.min(0).max(0o7777), uid: index, gid: index }).nullable(),
});

/** The side that a terminal emulator has. */
export const ptyMaster = kindModel({
  schema,
  title: () => 'pseudoterminal',
  describe: ({ number, controls, typed, output, unopened }) =>
    unopened
      ? `master of /dev/pts/${number}, which nobody has opened yet`
      : `master of /dev/pts/${number}${controls ? ', which controls the session' : ''}, ${inputLength(typed)} keys unread, ${output.length} bytes of output unread`,
});
